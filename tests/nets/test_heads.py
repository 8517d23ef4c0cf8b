"""Heads: where the vector joins, the trunk, the small initial policy, the two Q values."""

import torch

from td3sweep.nets import PolicyHead, TwinQHead


def test_policy_head_by_hand():
    """One hidden unit: relu(f + 2 v - 1) with f = 3, v = .5 is 3; times -2 plus .25 is -5.75."""
    head = PolicyHead(1, 1, 1, hidden=(1,))
    first, _, last = head.mlp
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 2.0]]))
        first.bias.fill_(-1.0)
        last.weight.fill_(-2.0)
        last.bias.fill_(0.25)
    assert head(torch.tensor([[3.0]]), torch.tensor([[0.5]])).item() == -5.75


def test_both_q_values_read_features_vector_and_action():
    head = TwinQHead(5, 3, 2, hidden=(16,))
    inputs = [torch.randn(4, n, requires_grad=True) for n in (5, 3, 2)]
    q1, q2 = head(*inputs)
    assert q1.shape == q2.shape == (4,)
    assert not torch.equal(q1, q2)
    assert torch.equal(head.first(*inputs), q1)
    for q in (q1, q2):
        gradients = torch.autograd.grad(q.sum(), inputs, retain_graph=True)
        assert all(g.abs().sum() > 0 for g in gradients)


def test_a_vector_of_no_numbers_works():
    assert PolicyHead(5, 0, 2)(torch.randn(3, 1, 5), torch.empty(3, 1, 0)).shape == (3, 1, 2)


def test_trunk_bounds_the_features_and_is_shared_by_both_qs():
    head = TwinQHead(512, 0, 2, trunk=50)
    squeezed = head.trunk(1e6 * torch.randn(7, 512))
    assert squeezed.shape == (7, 50)
    assert squeezed.abs().max() <= 1.0
    assert head.mlp1[0].in_features == 52


def test_init_scale_shrinks_the_first_actions():
    torch.manual_seed(0)
    plain = PolicyHead(8, 0, 2)
    torch.manual_seed(0)
    small = PolicyHead(8, 0, 2, init_scale=0.01)
    x, none = torch.randn(5, 8), torch.empty(5, 0)
    assert torch.allclose(small(x, none), 0.01 * plain(x, none), atol=1e-7)
