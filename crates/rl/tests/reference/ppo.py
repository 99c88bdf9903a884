"""One update of PPO in PyTorch, as CleanRL's ppo.py and ppo_continuous_action.py compute it.

    python ppo.py    writes ppo.json beside this file

A minibatch and small networks are made up; the file holds them, the parts of the loss and all
parameters after one clipped step of Adam. Written with torch 2.15.
"""

import json
import pathlib

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical, Normal

ROWS, SEEN, HIDDEN = 24, 4, 8
CLIP, VALUE, MAX_NORM, LR = 0.2, 0.5, 0.5, 2.5e-4


def network(outputs):
    return nn.Sequential(
        nn.Linear(SEEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, outputs)
    )


def values(net):
    """Weights as [inputs, outputs], then biases, layer after layer."""
    out = []
    for layer in net:
        if isinstance(layer, nn.Linear):
            out += layer.weight.detach().T.flatten().tolist() + layer.bias.detach().tolist()
    return out


def case(continuous, entropy_weight, seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    outputs = 2
    actor, critic = network(outputs), network(1)
    log_std = nn.Parameter(torch.tensor([0.1, -0.3]))
    before = {"actor": values(actor), "critic": values(critic)}
    seen = torch.tensor(rng.normal(size=(ROWS, SEEN)), dtype=torch.float32)
    with torch.no_grad():
        old_values = critic(seen).flatten() + torch.tensor(rng.normal(size=ROWS) * 0.3, dtype=torch.float32)
        out = actor(seen)
        if continuous:
            action = out + torch.tensor(rng.normal(size=(ROWS, outputs)), dtype=torch.float32)
            log_p = Normal(out, log_std.exp()).log_prob(action).sum(1)
        else:
            action = torch.tensor(rng.integers(0, outputs, ROWS))
            log_p = Categorical(logits=out).log_prob(action)
        # Some ratios lie outside of the clip.
        log_p = log_p + torch.tensor(rng.normal(size=ROWS) * 0.25, dtype=torch.float32)
        advantages = torch.tensor(rng.normal(size=ROWS) * 2 + 0.5, dtype=torch.float32)
        returns = advantages + old_values

    out = actor(seen)
    if continuous:
        distribution = Normal(out, log_std.exp().expand_as(out))
        new_log_p, entropy = distribution.log_prob(action).sum(1), distribution.entropy().sum(1)
    else:
        distribution = Categorical(logits=out)
        new_log_p, entropy = distribution.log_prob(action), distribution.entropy()
    new_values = critic(seen).flatten()
    ratio = (new_log_p - log_p).exp()
    normed = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    policy_loss = torch.max(-normed * ratio, -normed * torch.clamp(ratio, 1 - CLIP, 1 + CLIP)).mean()
    unclipped = (new_values - returns) ** 2
    moved = old_values + torch.clamp(new_values - old_values, -CLIP, CLIP)
    value_loss = 0.5 * torch.max(unclipped, (moved - returns) ** 2).mean()
    loss = policy_loss - entropy_weight * entropy.mean() + VALUE * value_loss
    learns = [*actor.parameters(), *critic.parameters()] + ([log_std] if continuous else [])
    optimiser = torch.optim.Adam(learns, lr=LR, eps=1e-5)
    optimiser.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(learns, MAX_NORM)
    optimiser.step()
    return {
        "continuous": continuous,
        "entropy_weight": entropy_weight,
        "before": before,
        "log_std": [0.1, -0.3] if continuous else [],
        "observations": seen.flatten().tolist(),
        "actions": action.flatten().tolist(),
        "log_p": log_p.tolist(),
        "advantages": advantages.tolist(),
        "values": old_values.tolist(),
        "clipped": int(((ratio - 1).abs() > CLIP).sum()),
        "norm": norm.item(),
        "losses": [policy_loss.item(), value_loss.item(), entropy.mean().item()],
        "after": {"actor": values(actor), "critic": values(critic)},
        "log_std_after": log_std.tolist() if continuous else [],
    }


cases = [case(False, 0.01, 1), case(True, 0.0, 2), case(True, 0.02, 3)]
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(cases) + "\n")
print(path, [(c["clipped"], round(c["norm"], 3)) for c in cases])
