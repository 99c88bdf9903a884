"""Writes attacks.json: pickles that try to run something, as hexadecimal, each with the name that a
reader must refuse. Nothing here is ever loaded; the commands would only print a word.

Run from this folder; needs the Python standard library alone.
"""
import builtins
import collections
import functools
import importlib
import io
import json
import operator
import os
import pickle
import runpy
import shutil
import subprocess
import sys
import types
import webbrowser

WORD = "echo offshoot"


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self):
        return (self.function, self.arguments) + ((self.state,) if self.state else ())


def named(module, name):
    """A function that exists under any name, without importing the module."""
    stand_in = types.FunctionType((lambda: None).__code__, {}, name)
    stand_in.__module__, stand_in.__qualname__ = module, name
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        parent = ".".join(parts[:end])
        sys.modules.setdefault(parent, types.ModuleType(parent))
    holder = sys.modules[module]
    if not hasattr(holder, name):
        setattr(holder, name, stand_in)
    return getattr(holder, name)


calls = {
    "system": (Call(os.system, WORD), ".system"),
    "eval": (Call(builtins.eval, "print('offshoot')"), ".eval"),
    "exec": (Call(builtins.exec, "print('offshoot')"), ".exec"),
    "open": (Call(open, "offshoot.txt", "w"), ".open"),
    "popen": (Call(subprocess.Popen, [WORD]), ".Popen"),
    "getattr": (Call(getattr, "x", "upper"), ".getattr"),
    "import": (Call(importlib.import_module, "os"), "importlib.import_module"),
    "runpy": (Call(runpy.run_path, "x.py"), "runpy.run_path"),
    "browser": (Call(webbrowser.open, "x"), "webbrowser.open"),
    "rmtree": (Call(shutil.rmtree, "offshoot"), "shutil.rmtree"),
    "partial": (Call(functools.partial, os.system, WORD), "functools.partial"),
    "attrgetter": (Call(operator.attrgetter, "system"), "operator.attrgetter"),
    "loads": (Call(pickle.loads, b"."), "pickle.loads"),
    "bytes_of_torch": (Call(named("torch.storage", "_load_from_bytes"), b"."),
                       "torch.storage._load_from_bytes"),
    "torch_load": (Call(named("torch.serialization", "load"), "x"), "torch.serialization.load"),
    "torch_hub": (Call(named("torch.hub", "load"), "x"), "torch.hub.load"),
    "numpy": (Call(named("numpy.core.multiarray", "_reconstruct"), 0),
              "numpy.core.multiarray._reconstruct"),
    "pip": (Call(named("pip", "main"), ["x"]), "pip.main"),
}
system = Call(os.system, WORD)
calls["nested_call"] = (Call(builtins.eval, Call(os.system, WORD)), ".eval")
calls["in_list"] = ([1, [2, [system]]], ".system")
calls["in_dict"] = ({"state_dict": {"weight": system}}, ".system")
calls["as_key"] = (collections.OrderedDict([((system, 1), 2)]), ".system")
calls["in_pairs"] = (Call(collections.OrderedDict, [["a", system]]), ".system")
calls["in_size"] = (Call(named("torch", "Size"), (system,)), ".system")
calls["in_parameter"] = (Call(named("torch._utils", "_rebuild_parameter"), system, True, None),
                         ".system")
calls["as_state"] = (Call(collections.OrderedDict, state={"x": system}), ".system")

attacks = {}
for name, (value, reason) in calls.items():
    for protocol in range(6):
        out = io.BytesIO()
        pickle.Pickler(out, protocol).dump(value)
        attacks[f"{name}_{protocol}"] = {"reason": reason, "hex": out.getvalue().hex()}

# Opcodes that Python's own pickler would not write.
by_hand = {
    "inst": (b"(S'echo offshoot'\nios\nsystem\n.", "os.system"),
    "inst_of_listed": (b"(icollections\nOrderedDict\n.", "collections.OrderedDict"),
    "obj": (b"(cos\nsystem\nX\x01\0\0\0xo.", "os.system"),
    "obj_of_listed": (b"(ccollections\nOrderedDict\no.", "OBJ"),
    "newobj": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
    "newobj_ex": (b"\x80\x04ccollections\nOrderedDict\n)}\x92.", "NEWOBJ_EX"),
    "stack_global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.", "os.system"),
    "stack_global_dotted": (b"\x80\x04\x8c\x0bcollections\x8c\x15OrderedDict.__class__\x93.",
                            "collections.OrderedDict.__class__"),
    "stack_global_of_numbers": (b"\x80\x04K\x01K\x02\x93.", "two strings"),
    "memoised_name": (b"\x80\x04\x8c\x02os\x94\x8c\x06system\x9400h\x00h\x01\x93.", "os.system"),
    "ext1": (b"\x80\x02\x82\x01.", "extension"),
    "ext4": (b"\x80\x02\x84\x01\0\0\0.", "extension"),
    "call_of_string": (b"X\x01\0\0\0x)R.", "a call of a string"),
    "call_of_tuple": (b"))R.", "a call of a tuple"),
    "build_of_list": (b"]}b.", "BUILD"),
    "build_of_class": (b"ctorch\nSize\n}b.", "BUILD"),
    "newline_in_name": (b"cos\n\n.", "`os.`"),
    "control_in_name": (b"c\x1b[31mos\nsystem\n.", "\\u{1b}[31mos.system"),
    "persistent_call": (b"\x80\x02cos\nsystem\nQ.", "os.system"),
    "persistent_number": (b"\x80\x02K\x01K\x02\x86Q.", "persistent id"),
    "buffer": (b"\x80\x05\x97.", "out-of-band"),
}
for name, (payload, reason) in by_hand.items():
    attacks[name] = {"reason": reason, "hex": payload.hex()}

with open("attacks.json", "w") as out:
    json.dump(attacks, out, indent=0, sort_keys=True)
    out.write("\n")
