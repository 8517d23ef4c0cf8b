"""What makes updates faster leaves their mathematics alone: compiled networks, steps replayed on their own memory."""

import copy
import inspect

import pytest
import torch
from agents import make_agent, make_batch, parameters, same
from torch._dynamo.utils import counters

from td3sweep.agent import MPGTarget
from td3sweep.agent.compiled import EAGER_STEPS, CudaGraphs, compile_networks

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
KINDS = [
    {},
    {"memory": "gru", "memory_size": 8},
    {"wiring": "critic_only", "aug": "shift4", "feature_norm": "layernorm"},
    {"target_rule": MPGTarget(delta_init="first_batch")},
]


def batches(agent, count, rows=3):
    recurrent = agent.state_size > 0
    shape = {"length": 2, "burn_in": 1, "state_size": agent.state_size} if recurrent else {}
    return [make_batch(rows, seed=seed, **shape) for seed in range(count)]


def run_again(run):
    """In the place of a CUDA graph: nothing runs while it is captured, and all of it whenever it is replayed."""
    return run


@pytest.mark.parametrize("kind", KINDS, ids=["plain", "gru", "critic_only", "mpg"])
def test_replayed_steps_are_the_eager_ones(kind):
    eager, replayed = (make_agent(**copy.deepcopy(kind)) for _ in range(2))
    replayed.run_step = CudaGraphs(replayed.run_step, capture=run_again)
    given = batches(eager, 16)
    for update, batch in enumerate(given):
        kept = copy.deepcopy(batch)
        metrics = [agent.update(batch, train_actor=update > 3) for agent in (eager, replayed)]
        assert metrics[0].keys() == metrics[1].keys()
        assert all(torch.equal(metrics[0][key].float(), metrics[1][key].float()) for key in metrics[0])
        assert torch.equal(eager.td_errors, replayed.td_errors)
        assert torch.equal(batch.images, kept.images)  # the caller's batch is not what the graph works on
    for name, network in eager.networks().items():
        assert same(parameters(network), parameters(replayed.networks()[name]))


def test_each_kind_of_step_runs_eagerly_first_and_is_captured_once():
    agent, captured = make_agent(), []

    def capture(run):
        captured.append(run)
        return run

    agent.run_step = CudaGraphs(agent.run_step, capture=capture)
    for batch in batches(agent, 2 * EAGER_STEPS):
        agent.update(batch)
    assert captured == []
    for batch in batches(agent, 6):
        agent.update(batch)
    assert len(captured) == 2  # with and without the actor's step
    for batch in batches(agent, 2 * EAGER_STEPS + 2, rows=2):
        agent.update(batch)
    assert len(captured) == 4  # another size of batch has graphs of its own


def on_fixed_memory(run):
    """As a graph does, every replay writes to where the first one wrote."""
    written, first = inspect.getclosurevars(run).nonlocals["written"], {}

    def replay():
        run()
        for name in ("values", "td_errors"):
            first.setdefault(name, written[name]).copy_(written[name])
            written[name] = first[name]

    return replay


def test_what_a_replay_gave_is_not_overwritten_by_the_next():
    agent = make_agent()
    agent.run_step = CudaGraphs(agent.run_step, capture=on_fixed_memory)
    losses, errors = [], []
    for batch in batches(agent, 12):
        losses.append(agent.update(batch)["loss/critic"])
        errors.append(agent.td_errors)
    assert len({loss.item() for loss in losses}) == 12
    assert len({error[0, 0].item() for error in errors}) == 12


def test_a_restored_agent_captures_anew():
    agent, captured = make_agent(), []

    def capture(run):
        captured.append(run)
        return run

    agent.run_step = CudaGraphs(agent.run_step, capture=capture)
    for batch in batches(agent, 8):
        agent.update(batch)
    before = len(captured)
    agent.load_state_dict(copy.deepcopy(agent.state_dict()))
    for batch in batches(agent, 8):
        agent.update(batch)
    assert before > 0
    assert len(captured) == 2 * before


@pytest.mark.slow
def test_compiled_networks_follow_the_eager_ones_over_50_updates():
    """float32: parameters within 1e-4 and losses within 1e-3 of the eager reference after 50 updates."""
    counters.clear()
    eager, compiled = make_agent(), make_agent()
    compile_networks(compiled.networks().values())
    names = [name for name, _ in compiled.critic.named_parameters()]
    assert names == [name for name, _ in eager.critic.named_parameters()]
    for batch in batches(eager, 50):
        losses = [agent.update(batch)["loss/critic"].item() for agent in (eager, compiled)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    for first, second in zip(parameters(eager.critic), parameters(compiled.critic), strict=True):
        assert (first - second).abs().max().item() < 1e-4
    assert counters["stats"]["unique_graphs"] >= 4  # two CNNs and two heads were compiled indeed


@needs_cuda
@pytest.mark.parametrize("kind", KINDS, ids=["plain", "gru", "critic_only", "mpg"])
def test_cuda_graphs_follow_eager_updates_on_a_gpu(kind):
    eager, graphs = (make_agent(device="cuda", **copy.deepcopy(kind)) for _ in range(2))
    graphs.run_step = CudaGraphs(graphs.run_step)
    for batch in batches(eager, 50):
        losses = [agent.update(batch)["loss/critic"].item() for agent in (eager, graphs)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@needs_cuda
def test_a_batch_reaches_a_gpu_whole():
    batch = make_batch(4)
    moved = batch.to(torch.device("cuda"))
    torch.cuda.synchronize()
    for name, tensor in batch.tensors().items():
        assert torch.equal(moved.tensors()[name].cpu(), tensor)
