"""CartPole: is a source worth it, is a bad one found out, and how long does PPO take beside PyTorch?

    python benches/rl/cart_pole.py --offshoot target/release/offshoot --work /some/folder transfer picked reversed ours
    python benches/rl/cart_pole.py --work /some/folder peer          # needs torch and gymnasium

transfer  10 seeds of length 0.5 as the source of length 1.5 with gravity 15, every method
picked    the same from ten sources of one seed each, of which short roll-outs in the target choose one
reversed  the same source for a cart whose controls are reversed
ours      wall time until 10 greedy episodes return 475 on average, asked every 10,000 steps
peer      the same with CleanRL's ppo.py as it computes: PyTorch, Gymnasium, the same settings and rule

Runs that are finished are not repeated, so the script goes on where it was stopped.
"""

import argparse
import json
import pathlib
import subprocess
import time

STEPS, EVERY, EPISODES, SOLVED = 500_000, 10_000, 10, 475.0
METHODS = "warm-start,frozen-trunk,layer-wise,adapter,distil,shaping"


def offshoot(arguments, name, line):
    """The document of a run, which is made, resumed or read."""
    runs = pathlib.Path(arguments.work) / "runs"
    report = runs / name / "report.json"
    if not report.is_file():
        again = (runs / name / "run.json").is_file()
        command = ["runs", "resume", name] if again else [*line.split(), "--name", name]
        subprocess.run([arguments.offshoot, *command, "--runs-dir", str(runs)], check=True)
    return json.loads(report.read_text())


def told(document):
    for way in document["methods"]:
        if "jumpstart" not in way:
            continue
        ci = lambda key: "{:+.1f} ({:+.1f} to {:+.1f})".format(way[key], *way[key + "_ci"])
        print(
            f"  {way['method']:<13} jumpstart {ci('jumpstart')}, total {ci('total_reward')}, "
            f"end {ci('asymptotic')}, time ratio {way['time_to_threshold']} {way['time_to_threshold_ci']}, {way['worth']}"
        )
    print(
        f"  best {document['best']}: {document['verdict']}, shipped {document['shipped']}; mean return "
        f"{document['mean_return']:.1f}, scratch {document['scratch_mean_return']:.1f}, "
        f"shipped policy {document['shipped_mean_return']:.1f}; {document['seconds']:.0f} s"
    )


def source(arguments):
    document = offshoot(arguments, "source", "rl train cart-pole --seeds 10")
    print(f"source: mean return {document['mean_return']:.1f}, {document['solved']} of 10 solved, {document['seconds']:.1f} s")
    return pathlib.Path(arguments.work) / "runs" / "source"


def transfer(arguments):
    run = source(arguments)
    line = f"rl transfer {run} --to cart-pole --set gravity=15 --set length=1.5 --seeds 10 --method {METHODS}"
    print("length 0.5 -> length 1.5, gravity 15")
    told(offshoot(arguments, "heavy", line))


def picked(arguments):
    runs = []
    for seed in range(10):
        offshoot(arguments, f"light-{seed}", f"rl train cart-pole --seed {seed}")
        runs.append(str(pathlib.Path(arguments.work) / "runs" / f"light-{seed}"))
    methods = "warm-start,frozen-trunk,adapter,distil"
    line = f"rl transfer {' '.join(runs)} --to cart-pole --set gravity=15 --set length=1.5 --seeds 10 --method {methods}"
    print("length 0.5 -> length 1.5, gravity 15, one of ten sources")
    told(offshoot(arguments, "picked", line))


def reversed_controls(arguments):
    run = source(arguments)
    line = f"rl transfer {run} --to cart-pole --set force=-10 --seeds 10 --method warm-start"
    print("controls reversed, as it is")
    told(offshoot(arguments, "reversed", line))
    print("controls reversed, auto")
    told(offshoot(arguments, "reversed-auto", line.replace("warm-start", "auto")))


def ours(arguments):
    times = []
    for seed in range(3):
        name = f"alone-{seed}"
        document = offshoot(arguments, name, f"rl train cart-pole --seed {seed} --threads 1")
        whole = document["seeds"][0]["seconds"]
        curve = json.loads((pathlib.Path(arguments.work) / f"runs/{name}/seeds/{seed}/curve.json").read_text())
        steps = next((p["steps"] for p in curve["points"] if p["mean_return"] >= SOLVED), None)
        times.append(steps and whole * steps / curve["steps"])
        print(f"ours, seed {seed}: {steps} steps to {SOLVED}, {times[-1]:.2f} s; {curve['steps'] / whole:,.0f} steps a second")
    return times


def peer(arguments):
    import gymnasium
    import numpy as np
    import torch
    from torch import nn
    from torch.distributions import Categorical

    torch.set_num_threads(arguments.threads)

    def layer(inputs, outputs, gain=np.sqrt(2)):
        made = nn.Linear(inputs, outputs)
        nn.init.orthogonal_(made.weight, gain)
        nn.init.zeros_(made.bias)
        return made

    def net(outputs, gain):
        return nn.Sequential(layer(4, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, outputs, gain))

    def judge(actor, seed):
        worlds = gymnasium.make_vec("CartPole-v1", EPISODES, vectorization_mode="sync")
        seen, _ = worlds.reset(seed=10_000 + seed)
        totals, running = np.zeros(EPISODES), np.ones(EPISODES, bool)
        while running.any():
            with torch.no_grad():
                chosen = actor(torch.as_tensor(seen)).argmax(1).numpy()
            seen, reward, ended, cut, _ = worlds.step(chosen)
            totals += reward * running
            running &= ~(ended | cut)
        return totals.mean()

    for seed in range(arguments.seeds):
        torch.manual_seed(seed)
        same_step = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
        worlds = gymnasium.make_vec("CartPole-v1", 4, vectorization_mode="sync", vector_kwargs=same_step)
        actor, critic = net(2, 0.01), net(1, 1.0)
        learns = [*actor.parameters(), *critic.parameters()]
        optimiser = torch.optim.Adam(learns, lr=2.5e-4, eps=1e-5)
        horizon, n = 128, 4
        seen = torch.as_tensor(worlds.reset(seed=seed)[0])
        done = torch.zeros(n)
        learning, asked, updates = 0.0, 0, STEPS // (horizon * n)
        for update in range(updates):
            began = time.perf_counter()
            optimiser.param_groups[0]["lr"] = 2.5e-4 * (1 - update / updates)
            shapes = [torch.zeros(horizon, n) for _ in range(5)]
            log_p, rewards, dones, values, actions = shapes
            observations = torch.zeros(horizon, n, 4)
            for step in range(horizon):
                observations[step], dones[step] = seen, done
                with torch.no_grad():
                    distribution = Categorical(logits=actor(seen))
                    action = distribution.sample()
                    values[step] = critic(seen).flatten()
                actions[step], log_p[step] = action, distribution.log_prob(action)
                new, reward, ended, cut, _ = worlds.step(action.numpy())
                rewards[step] = torch.as_tensor(reward)
                seen, done = torch.as_tensor(new), torch.as_tensor(ended | cut, dtype=torch.float32)
            with torch.no_grad():
                following, carried = critic(seen).flatten(), torch.zeros(n)
                advantages = torch.zeros(horizon, n)
                alive = 1 - done
                for step in reversed(range(horizon)):
                    delta = rewards[step] + 0.99 * following * alive - values[step]
                    advantages[step] = carried = delta + 0.99 * 0.95 * alive * carried
                    following, alive = values[step], 1 - dones[step]
                returns = advantages + values
            flat = [t.reshape(-1) for t in (actions, log_p, advantages, returns, values)]
            rows = observations.reshape(-1, 4)
            for _ in range(4):
                for part in np.array_split(np.random.permutation(horizon * n), 4):
                    action, old, advantage, target, value = (t[part] for t in flat)
                    distribution = Categorical(logits=actor(rows[part]))
                    ratio = (distribution.log_prob(action) - old).exp()
                    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                    policy = torch.max(-advantage * ratio, -advantage * ratio.clamp(0.8, 1.2)).mean()
                    new = critic(rows[part]).flatten()
                    moved = value + (new - value).clamp(-0.2, 0.2)
                    error = 0.5 * torch.max((new - target) ** 2, (moved - target) ** 2).mean()
                    loss = policy - 0.01 * distribution.entropy().mean() + 0.5 * error
                    optimiser.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(learns, 0.5)
                    optimiser.step()
            learning += time.perf_counter() - began
            steps = (update + 1) * horizon * n
            if steps // EVERY > asked:
                asked = steps // EVERY
                mean = judge(actor, seed)
                if mean >= SOLVED:
                    break
        print(f"peer, seed {seed}: {steps} steps, mean return {mean:.1f}, {learning:.1f} s; {steps / learning:,.0f} steps a second", flush=True)


PARTS = {"transfer": transfer, "picked": picked, "reversed": reversed_controls, "ours": ours, "peer": peer}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--offshoot", default="target/release/offshoot")
    parser.add_argument("--work", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    arguments = parser.parse_args()
    for part in arguments.parts:
        PARTS[part](arguments)


main()
