"""Writes gymnasium.json: what Gymnasium's worlds do under 1,000 actions, with usual and with changed constants.

    python crates/rl/tests/reference/gymnasium.py

Needs gymnasium 1.4.0 and numpy (the JSON names their versions). Every episode begins in a state that is set,
so that no generator of random numbers has to be shared; one that ends is followed by the next until 1,000
actions are done. Constants are attributes of Gymnasium's worlds; the two that are written into the equations
(gravity of Acrobot and of the continuous MountainCar) are changed in a copy of the source.
"""

import inspect
import json
import math
import pathlib
import sys

# This file has the name of the package that it asks.
HERE = pathlib.Path(__file__).parent
sys.path = [entry for entry in sys.path if pathlib.Path(entry or ".").resolve() != HERE.resolve()]

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
from gymnasium.envs.classic_control import acrobot, cartpole, continuous_mountain_car  # noqa: E402
from gymnasium.envs.classic_control import mountain_car, pendulum  # noqa: E402

ACTIONS = 1000


def changed_source(module, name, *replacements):
    """The class `name` of a module with pieces of its source replaced."""
    source = inspect.getsource(module)
    for old, new in replacements:
        assert source.count(old) == 1, (old, source.count(old))
        source = source.replace(old, new)
    space = {"__name__": name}
    exec(compile(source, name, "exec"), space)
    return space[name]


def cart_pole(settings):
    env = cartpole.CartPoleEnv()
    names = {
        "gravity": "gravity", "cart_mass": "masscart", "pole_mass": "masspole", "length": "length",
        "force": "force_mag", "seconds": "tau", "position_limit": "x_threshold",
    }
    for name, value in settings.items():
        if name == "angle_limit":
            env.theta_threshold_radians = value * math.pi / 180
        else:
            setattr(env, names[name], value)
    # Gymnasium computes these once, when it is made.
    env.total_mass = env.masspole + env.masscart
    env.polemass_length = env.masspole * env.length
    return env


def cars(settings, env):
    for name, value in settings.items():
        assert hasattr(env, name), name
        setattr(env, name, value)
    return env


def mountain_car_continuous(settings):
    gravity = settings.get("gravity", 0.0025)
    env = changed_source(
        continuous_mountain_car, "Continuous_MountainCarEnv",
        ("force * self.power - 0.0025 * math.cos", f"force * self.power - {gravity!r} * math.cos"),
    )()
    return cars({k: v for k, v in settings.items() if k != "gravity"}, env)


def acrobot_env(settings):
    env = changed_source(acrobot, "AcrobotEnv", ("g = 9.8", f"g = {settings.get('gravity', 9.8)!r}"))()
    names = {
        "length_1": "LINK_LENGTH_1", "mass_1": "LINK_MASS_1", "mass_2": "LINK_MASS_2",
        "centre_1": "LINK_COM_POS_1", "centre_2": "LINK_COM_POS_2", "inertia": "LINK_MOI",
        "max_velocity_1": "MAX_VEL_1", "max_velocity_2": "MAX_VEL_2", "seconds": "dt",
    }
    for name, value in settings.items():
        if name == "torque":
            env.AVAIL_TORQUE = [-value, 0.0, value]
        elif name != "gravity":
            setattr(env, names[name], value)
    return env


def pendulum_env(settings):
    env = pendulum.PendulumEnv()
    names = {
        "gravity": "g", "mass": "m", "length": "l", "max_torque": "max_torque",
        "max_speed": "max_speed", "seconds": "dt",
    }
    for name, value in settings.items():
        setattr(env, names[name], value)
    return env


# World: how it is made, the box that first states are drawn from, steps of an episode at most, other constants.
# Two links are chaotic: what two libraries' sines differ by in the last bit grows, so their episodes are short.
WORLDS = {
    "cart-pole": (
        cart_pole, [(-2.3, 2.3), (-1, 1), (-0.18, 0.18), (-1, 1)], 500,
        [
            {"gravity": 15.0, "length": 1.5},
            {"cart_mass": 0.4, "pole_mass": 0.5, "force": -7.0, "seconds": 0.03},
            {"angle_limit": 30.0, "position_limit": 1.5},
        ],
    ),
    "mountain-car": (
        lambda s: cars(s, mountain_car.MountainCarEnv()), [(-1.2, 0.45), (-0.07, 0.07)], 1000,
        [
            {"force": 0.002, "gravity": 0.004, "max_speed": 0.05},
            {"min_position": -1.0, "max_position": 0.3, "goal_position": 0.25, "goal_velocity": 0.02},
        ],
    ),
    "mountain-car-continuous": (
        mountain_car_continuous, [(-1.2, 0.4), (-0.07, 0.07)], 1000,
        [
            {"power": -0.003, "gravity": 0.004, "max_speed": 0.05},
            {"min_position": -1.0, "max_position": 0.3, "goal_position": 0.25, "goal_velocity": 0.02},
        ],
    ),
    "acrobot": (
        acrobot_env, [(-1, 1), (-1, 1), (-2, 2), (-2, 2)], 50,
        [
            {"gravity": 5.0, "torque": 2.0, "seconds": 0.1},
            {"length_1": 1.4, "mass_1": 0.6, "mass_2": 1.7, "centre_1": 0.8, "centre_2": 0.3, "inertia": 0.7},
            {"max_velocity_1": 2.0, "max_velocity_2": 3.0},
        ],
    ),
    "pendulum": (
        pendulum_env, [(-math.pi, math.pi), (-1, 1)], 200,
        [
            {"gravity": 4.0, "mass": 1.7, "length": 0.6},
            {"max_torque": 5.0, "max_speed": 6.0, "seconds": 0.02},
        ],
    ),
}


def single(values):
    """Shortest texts of single precision, so that the file stays small."""
    return [float(str(np.float32(v))) for v in values]


def replay(name, settings, rng):
    make, box, longest, _ = WORLDS[name]
    env = make(settings)
    box = [list(bounds) for bounds in box]
    if "min_position" in settings:
        box[0] = [settings["min_position"], settings["goal_position"] - 0.05]
    if "max_speed" in settings:
        box[1] = [-settings["max_speed"], settings["max_speed"]]
    begin, taken, seen, rewards, ended, states = [], [], [], [], [], []
    length = longest
    action = None
    for step in range(ACTIONS):
        if length == longest or (ended and ended[-1]):
            state = np.array([rng.uniform(*bounds) for bounds in box])
            if name == "mountain-car-continuous":
                # Its states are single precision after the first step.
                state = state.astype(np.float32)
            env.state = state.copy()
            env.steps_beyond_terminated = None
            begin.append([step, [float(v) for v in state]])
            length = 0
        # An action is kept for some steps, so that cars and links get somewhere; a pole is pushed back.
        if name == "cart-pole":
            theta, theta_dot = float(env.state[2]), float(env.state[3])
            action = int(theta + 0.3 * theta_dot > 0) if rng.random() < 0.9 else int(rng.integers(2))
        elif action is None or rng.random() < 0.1:
            if hasattr(env.action_space, "n"):
                action = int(rng.integers(env.action_space.n))
            else:
                # Some lie beyond the bounds.
                high = 1.3 * float(getattr(env, "max_torque", 1.0))
                action = float(np.float32(rng.uniform(-high, high)))
        given = action if isinstance(action, int) else np.array([action], dtype=np.float32)
        observation, reward, terminated, _, _ = env.step(given)
        length += 1
        taken.append(action)
        if step % 4 == 3:
            seen.append(single(observation))
        rewards.append(float(reward))
        ended.append(bool(terminated))
        if step % 20 == 19:
            states.append([float(v) for v in env.state])
    return {
        "world": name, "settings": settings, "begin": begin, "actions": taken, "observations": seen,
        "rewards": rewards, "terminated": [i for i, t in enumerate(ended) if t], "states": states,
    }


def main():
    rng = np.random.default_rng(8)
    cases = []
    for name, (_, _, _, others) in WORLDS.items():
        for settings in [{}, *others]:
            case = replay(name, settings, rng)
            print(f"{name} {settings}: {len(case['begin'])} episodes, {len(case['terminated'])} ended")
            cases.append(case)
    versions = {"gymnasium": gymnasium.__version__, "numpy": np.__version__}
    text = json.dumps({"versions": versions, "cases": cases}, separators=(",", ":"))
    (HERE / "gymnasium.json").write_text(text.replace('{"world"', '\n{"world"') + "\n")


if __name__ == "__main__":
    main()
