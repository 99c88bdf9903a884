"""Steps per second of worlds under random actions, beside Gymnasium's vector environments.

    cargo build --release -p offshoot-rl --example world_speed
    python benches/rl/steps_per_second.py --built target/release/examples/world_speed

Needs gymnasium 1.4.0 and numpy. Engines alternate within a round; a figure is the median of the rounds. What
was measured is kept in a file (--out) and not measured again.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

import gymnasium
import numpy as np

WORLDS = {
    "cart-pole": "CartPole-v1", "mountain-car": "MountainCar-v0",
    "mountain-car-continuous": "MountainCarContinuous-v0", "acrobot": "Acrobot-v1", "pendulum": "Pendulum-v1",
}
SETS = 128


def ours(built, world, n, seconds):
    said = subprocess.run([built, world, str(n), str(seconds)], capture_output=True, text=True, check=True)
    return float(said.stdout.split(" steps per second")[0].split()[-1])


def theirs(mode, world, n, seconds):
    try:
        envs = gymnasium.make_vec(WORLDS[world], num_envs=n, vectorization_mode=mode)
    except gymnasium.error.Error:
        return None
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(SETS)]
    envs.step(actions[0])
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        envs.step(actions[(steps // n) % SETS])
        steps += n
    rate = steps / (time.perf_counter() - began)
    envs.close()
    return rate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--built", required=True, help="the example world_speed")
    parser.add_argument("--out", default="steps_per_second.jsonl")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--sizes", default="8,64,1024")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    out = pathlib.Path(arguments.out)
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    engines = {"offshoot": None, "sync": "sync", "async": "async", "vectorised": "vector_entry_point"}
    with out.open("a") as file:
        for round in range(arguments.rounds):
            for world in arguments.worlds.split(","):
                for n in map(int, arguments.sizes.split(",")):
                    for engine, mode in engines.items():
                        key = {"round": round, "world": world, "n": n, "engine": engine}
                        # A process for each of a thousand environments is nobody's choice.
                        if any(key.items() <= d.items() for d in done) or (engine == "async" and n > 8):
                            continue
                        if mode is None:
                            rate = ours(arguments.built, world, n, arguments.seconds)
                        else:
                            rate = theirs(mode, world, n, arguments.seconds)
                        line = {**key, "rate": rate, "load": float(np.round(os.getloadavg()[0], 1))}
                        done.append(line)
                        file.write(json.dumps(line) + "\n")
                        file.flush()
    print(f"{'world':<24}{'n':>6}" + "".join(f"{e:>13}" for e in engines) + f"{'ours/best':>11}")
    for world in arguments.worlds.split(","):
        for n in map(int, arguments.sizes.split(",")):
            medians = {}
            for engine in engines:
                rates = [d["rate"] for d in done
                         if (d["world"], d["n"], d["engine"]) == (world, n, engine) and d["rate"]]
                medians[engine] = statistics.median(rates) if rates else None
            best = max(v for e, v in medians.items() if e != "offshoot" and v)
            cells = "".join(f"{v:>13,.0f}" if v else f"{'–':>13}" for v in medians.values())
            print(f"{world:<24}{n:>6}{cells}{medians['offshoot'] / best:>11.1f}")
    loads = [d["load"] for d in done]
    print(f"{os.cpu_count()} cores, load {min(loads):.1f} to {max(loads):.1f}")


if __name__ == "__main__":
    main()
