"""What a sweep is asked for: spaces compose at their corners, known points come first, nonsense is one line."""

import itertools
import sys
from collections import Counter

import pytest
from hydra import compose, initialize_config_dir

from td3sweep.config.compose import register
from td3sweep.config.presets import config_directory
from td3sweep.errors import UserError
from td3sweep.sweep.search import build_pruner, build_sampler
from td3sweep.sweep.space import parse_space
from td3sweep.sweep.spec import load_spec
from td3sweep.sweep.sweeper import budget_of, build_engine, describe, first_points, sweep_directory


def config_of(*arguments):
    """The multirun's configuration, as Hydra hands it to a sweeper, and the job overrides."""
    register()
    own = [word for word in arguments if not word.startswith("hydra")]
    _, fixed = parse_space({}, own)
    with initialize_config_dir(config_directory(), version_base="1.3"):
        overrides = [*fixed, *(word for word in arguments if word.startswith("hydra"))]
        return compose("config", overrides=overrides, return_hydra_config=True), own


def asked(*arguments):
    return describe(*config_of(*arguments))


def refused(*arguments):
    with pytest.raises(UserError) as refusal:
        asked(*arguments)
    line = str(refusal.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "name", ["gamma_tau_lr_batch", "architecture", pytest.param("full", marks=pytest.mark.slow), "ablation"]
)
def test_every_space_composes_at_all_its_corners(name):
    _, spec, space = asked(f"space={name}", "sweep.trials=4", "warmup=600", "steps=1600")
    assert spec.space == name
    assert len(space.parameters) == {"gamma_tau_lr_batch": 5, "architecture": 2, "full": 7, "ablation": 5}[name]
    assert not {key for key in spec.fixed if key in space.words}
    assert spec.fixed["steps"] == 1600


def test_the_documented_ranges():
    _, _, space = asked("space=gamma_tau_lr_batch", "sweep.trials=4")
    ends = {p.name: (p.edges()[0], p.edges()[-1]) for p in space.parameters}
    assert ends == {
        "1-hyperparams.gamma": (1e-4, 0.1),
        "hyperparams.tau": (1e-3, 8e-2),
        "hyperparams.actor_lr": (1e-5, 1e-2),
        "hyperparams.critic_lr": (1e-5, 1e-2),
        "hyperparams.batch_size": (16, 512),
    }


def test_paper_and_current_are_trials_0_and_1():
    search, _, space = asked("space=gamma_tau_lr_batch", "sweep.trials=12")
    first, second = first_points(search, space)
    assert space.overrides(first) == [
        "hyperparams.gamma=0.99", "hyperparams.tau=0.005", "hyperparams.actor_lr=0.001",
        "hyperparams.critic_lr=0.001", "hyperparams.batch_size=100",
    ]  # fmt: skip
    assert space.overrides(second)[:2] == ["hyperparams.gamma=0.9", "hyperparams.tau=0.001"]
    assert space.overrides(second)[4] == "hyperparams.batch_size=256"


@pytest.mark.parametrize(("memory", "batch"), [("none", 100), ("gru48", 16)])
def test_a_preset_whose_batch_depends_on_the_memory_has_it_resolved(memory, batch, capsys):
    words = ("hyperparams.batch_size=choice(16,100,512)", f"recurrent={memory}", "sweep.enqueue=[recipe]")
    search, spec, space = asked(*words, "sweep.trials=2")
    points = first_points(search, space, memory=spec.fixed["recurrent.name"])
    assert (points, capsys.readouterr().out) == ([{"hyperparams.batch_size": batch}], "")


def test_a_preset_outside_the_space_is_left_out_and_said(capsys):
    search, _, space = asked("space=gamma_tau_lr_batch", "hyperparams.batch_size=choice(16,100)", "sweep.trials=9")
    assert len(first_points(search, space)) == 1
    assert "hyperparams=current is not among the first trials" in capsys.readouterr().out


def test_a_finite_space_without_a_budget_is_a_grid_in_hydras_order():
    search, spec, space = asked("cnn=nature,pooled", "recurrent=none,gru48", "seed=3,5")
    assert (budget_of(search, space), spec.seeds) == (4, [3, 5])
    assert [space.overrides(point) for point in first_points(search, space)][1] == ["cnn=nature", "recurrent=gru48"]
    assert budget_of(asked("cnn=nature,pooled", "sweep.trials=9")[0], space) == 4


def test_a_budget_that_covers_a_finite_space_tries_each_of_its_points_once(capsys):
    search, _, space = asked("space=architecture", "sweep.trials=6")
    assert (first_points(search, space), capsys.readouterr().out) == (list(space.points()), "")
    search, _, space = asked("space=architecture", "sweep.trials=40")
    assert (budget_of(search, space), len(first_points(search, space))) == (6, 6)
    assert "sweep.trials=40: the space has 6 points, each is tried once" in capsys.readouterr().out
    search, _, space = asked("space=architecture", "sweep.trials=5")
    assert (budget_of(search, space), first_points(search, space)) == (5, [])  # drawn


def test_the_ablation_begins_with_the_balanced_half_of_its_table_and_stops_nothing():
    search, spec, space = asked("experiment=ablation")
    assert (budget_of(search, space), space.size, spec.space) == (16, 32, "ablation")
    assert not any(word.startswith("monitor") for word in spec.base)
    half = [tuple(point.values()) for point in first_points(search, space)][:16]
    for one, two in itertools.combinations(range(5), 2):
        pairs = Counter((point[one], point[two]) for point in half)
        assert list(pairs.values()) == [4, 4, 4, 4]
    assert len(set(map(str, first_points(search, space)))) == 32


def test_seeds_are_consecutive_from_the_given_one():
    assert asked("cnn=nature,pooled", "sweep.seeds=3", "seed=10")[1].seeds == [10, 11, 12]
    assert asked("seed=4,7")[1].seeds == [4, 7]


def test_a_sweep_stops_what_diverges_unless_told_otherwise():
    assert "monitor=stop" in asked("seed=0,1")[1].base
    assert "monitor=stop" in asked("seed=0,1", "monitor.stop_on=[d2,d3]")[1].base
    assert "monitor=stop" not in asked("seed=0,1", "monitor=warn")[1].base
    assert "monitor=stop" not in asked("seed=0,1", "monitor.name=warn")[1].base
    assert "monitor=stop" not in asked("seed=0,1", "sweep.objectives=[return,stable]")[1].base


@pytest.mark.slow
def test_the_same_command_finds_the_same_directory_and_another_does_not(tmp_path):
    def directory(*arguments):
        config, own = config_of(*arguments)
        return sweep_directory(config, describe(config, own)[1])

    plain = directory("space=architecture")
    assert plain.parent.name == "drive"
    assert plain.name.startswith("sweep-architecture-")
    assert directory("space=architecture", "sweep.width=2", "tracking=off") == plain
    assert directory("space=architecture", "steps=1900") != plain
    assert directory("space=architecture", "sweep.seeds=2") != plain
    assert directory("space=architecture", f"hydra.sweep.dir={tmp_path}/mine") == tmp_path / "mine"


def test_another_sweep_is_refused_in_the_directory_by_its_keys(tmp_path):
    one = asked("hyperparams.tau=interval(0.1,0.2)", "sweep.trials=4", "steps=1900")[1]
    same = asked("hyperparams.tau=interval(0.1,0.2)", "sweep.trials=9", "steps=1900", "sweep.sampler=random")[1]
    same.check_same(one, tmp_path)
    other = asked("hyperparams.tau=interval(0.1,0.3)", "sweep.trials=4", "steps=1950", "sweep.seeds=2")[1]
    with pytest.raises(UserError, match=r"^steps, sweep of hyperparams.tau, sweep.seeds: the sweep in .*repeat them"):
        other.check_same(one, tmp_path)


def test_numbers_that_a_swept_group_decides_are_those_of_the_point():
    _, spec, space = asked("experiment=drive,memory", "sweep.trials=2")
    assert "steps" not in spec.fixed
    keys = ("steps", "warmup", "env.map")
    for experiment, steps, place in (("drive", 5000, "StandInTown"), ("memory", 8000, "StandInRing")):
        found = spec.numbers(space, {"experiment": experiment}, keys)
        assert found == {"steps": steps, "warmup": 1000, "env.map": place}


def test_a_directory_that_was_renamed_holds_the_same_study(tmp_path):
    spec = asked("hyperparams.tau=interval(0.1,0.2)", "sweep.trials=4", "steps=1900")[1]
    (tmp_path / "old").mkdir()
    assert spec.settle(tmp_path / "old").name == "old"
    (tmp_path / "old").rename(tmp_path / "new")
    assert spec.settle(tmp_path / "new").name == "old"
    assert load_spec(tmp_path / "new").name == "old"


@pytest.mark.parametrize(
    ("swept", "key", "values", "differs"),
    [
        ("experiment=ablation", "hyperparams.batch_size", (32, 64), "wiring.name"),
        ("hyperparams=paper,current", "hyperparams.batch_size", (32, 64), "hyperparams.tau"),
        ("reward=cruise,race", "reward.scale", (1, 0.1), "reward.name"),
    ],
)
def test_a_key_fixed_within_a_swept_group_makes_another_sweep(tmp_path, swept, key, values, differs):
    first, second = (asked(swept, f"{key}={value}")[1] for value in values)
    assert (first.fixed[key], second.fixed[key]) == values
    assert differs not in first.fixed
    with pytest.raises(UserError, match=rf"^{key}: the sweep in"):
        second.check_same(first, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["space=gamma_tau_lr_batch"], "sweep.trials=null: this space has no end"),
        (["space=gamma_tau_lr_batch", "sweep.trials=4", "sweep.sampler=grid"], "sweep.sampler=grid: the space has no"),
        (["steps=range(1700,91000)", "sweep.trials=4", "sweep.sampler=grid"], "sweep.sampler=grid: the space has 8930"),
        (["steps=range(1700,91000)"], "sweep.trials=null: the space has 89301 points; give a smaller sweep.trials=N"),
        (["steps=range(1700,91000)", "sweep.trials=89301"], "sweep.trials=89301: the space has 89301 points"),
        (["cnn=nature,pooled", "seed=0,1", "sweep.seeds=2"], "sweep.seeds=2 with seed=[0, 1]"),
        (["cnn=nature,pooled", "sweep.objectives=[speed]"], "sweep.objectives=['speed']: choose [return]"),
        (["cnn=nature,pooled", "sweep.objectives=[return,stable]", "sweep.pruner=median"], "with two objectives"),
        (["cnn=nature,pooled", "sweep.pruner=wilcoxon"], "give sweep.seeds=2 or more"),
        (["cnn=nature,pooled", "resume=last"], "resume=last with --multirun"),
        (["hyperparams.tau=interval(0.5,2)", "sweep.trials=3"], "hyperparams.tau=2.0: must lie between"),
        (["cnn=nature,vgg"], "cnn=vgg: no such option; choose cnn= one of nature, pooled"),
        (["hyperparams.gama=.9,.99"], "hyperparams.gama: unknown key; did you mean hyperparams.gamma?"),
        (["warmup=600", "steps=500,900"], "warmup=600 with steps=500"),
        (["cnn=nature,pooled", "sweep.pruner=median", "+sweep.pruner_options.foo=1"], "sweep.pruner_options={"),
        (["seed=interval(0,9)"], "seed=interval(0,9): list the seeds"),
    ],
)  # fmt: skip
def test_nonsense_is_one_line_that_names_key_and_remedy(arguments, said):
    assert said in refused(*arguments)


def test_an_unknown_preset_to_begin_with():
    search, _, space = asked("space=gamma_tau_lr_batch", "sweep.trials=3", "sweep.enqueue=[papers]")
    with pytest.raises(UserError, match=r"sweep.enqueue=papers: no such preset; choose from as_ran, author, current"):
        first_points(search, space)


def test_a_launcher_that_is_no_engine_of_ours(tmp_path):
    config, _ = config_of("hydra/launcher=basic")
    with pytest.raises(UserError, match="choose hydra/launcher=local, slurm or ray"):
        build_engine(config, tmp_path, 1)


@pytest.mark.parametrize(
    ("argument", "said"),
    [("threads=0", "hydra.launcher.threads=0: give at least 1"), ("timeout_min=-1", "timeout_min=-1: give minutes")],
)
def test_local_engine_refusals(argument, said, tmp_path):
    config, _ = config_of(f"hydra.launcher.{argument}")
    with pytest.raises(UserError, match=said):
        build_engine(config, tmp_path, 1)


def test_a_sampler_whose_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    assert "sweep.sampler=cmaes: " in (line := refused("cnn=nature,pooled", "sweep.sampler=cmaes"))
    assert line.endswith("pip install cmaes")


@pytest.mark.parametrize("name", ["tpe", "random", "qmc", "grid", "gp", "cmaes"])
def test_every_sampler_is_built(name):
    search = asked("cnn=nature,pooled", f"sweep.sampler={name}")[0]
    assert build_sampler(search, 5) is not None


@pytest.mark.parametrize("name", ["none", "median", "hyperband", "patient", "wilcoxon"])
def test_every_pruner_is_built(name):
    search = asked("cnn=nature,pooled", f"sweep.pruner={name}", "sweep.seeds=2")[0]
    assert build_pruner(search, warmup=100, every=50, steps=2000) is not None


def test_how_evaluations_start_is_part_of_what_a_sweep_scores(tmp_path):
    spread, drawn = (asked("hyperparams.tau=.01,.02", f"eval_spread={word}")[1] for word in ("true", "false"))
    with pytest.raises(UserError, match=r"^eval_spread: the sweep in"):
        drawn.check_same(spread, tmp_path)
