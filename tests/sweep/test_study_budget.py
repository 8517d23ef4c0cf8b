"""The budget counts points, not attempts: it is met exactly, whoever dies."""

import shutil

import pytest
from optuna.trial import TrialState
from sweeps import SPACE, make_ledger, make_spec, reopened

from td3sweep.errors import UserError
from td3sweep.process.lease import Lease
from td3sweep.sweep.space import parse_space
from td3sweep.sweep.spec import load_spec
from td3sweep.sweep.storage import JOURNAL
from td3sweep.sweep.study import ATTEMPT, Ledger, first_of


@pytest.fixture
def controller(tmp_path):
    """The lease of a controller that lives."""
    with Lease(tmp_path / "controllers" / "me.json") as lease:
        yield lease.path


@pytest.fixture
def ledger(tmp_path):
    return make_ledger(tmp_path)


def dead(tmp_path):
    return tmp_path / "controllers" / "dead.json"


def states(ledger):
    return [trial.state.name for trial in ledger.trials()]


def test_a_budget_is_handed_out_once(ledger, controller):
    assert [ledger.claim(controller, 3).number for _ in range(3)] == [0, 1, 2]
    assert ledger.claim(controller, 3) is None
    assert ledger.claim(controller, 4).number == 3  # a larger budget goes on


def test_planned_points_come_first_and_count(ledger, controller):
    ledger.plan([{"x": 0.25}, {"x": 0.75}], budget=3)
    ledger.plan([{"x": 0.25}, {"x": 0.75}], budget=3)  # a repeated command plans nothing twice
    claimed = [ledger.claim(controller, 3) for _ in range(3)]
    assert [trial.params["x"] for trial in claimed[:2]] == [0.25, 0.75]
    assert ledger.claim(controller, 3) is None


def test_a_point_that_leaves_keys_to_the_sampler_is_planned_once(tmp_path, controller):
    space, _ = parse_space({}, ["x=interval(0,1)", "y=interval(0,1)"])
    presets = [{"x": 0.25}, {"x": 0.75}]
    ledger = Ledger(make_spec(), tmp_path, space)
    ledger.plan(presets, budget=4)
    assert [ledger.claim(controller, 4).params["x"] for _ in range(2)] == [0.25, 0.75]
    ledger.plan(presets, budget=4)  # the next session
    third = ledger.claim(controller, 4)
    assert third.params["x"] not in (0.25, 0.75)
    assert "fixed_params" not in third.system_attrs  # the sampler's own choice


def test_no_more_is_planned_than_the_budget_allows(ledger, controller):
    ledger.plan([{"x": 0.25}, {"x": 0.75}], budget=1)
    assert ledger.claim(controller, 1).params["x"] == 0.25
    assert ledger.claim(controller, 1) is None


def test_a_larger_budget_plans_what_is_not_known_yet_in_whatever_order_it_comes(ledger, controller):
    ledger.plan([{"x": 0.25}, {"x": 0.75}], budget=2)
    ledger.claim(controller, 2)
    ledger.plan([{"x": 0.5}, {"x": 0.75}, {"x": 0.25}, {"x": 1.0}], budget=4)
    assert [ledger.claim(controller, 4).params["x"] for _ in range(3)] == [0.75, 0.5, 1.0]
    assert ledger.claim(controller, 4) is None


def test_a_trial_that_died_is_tried_again_in_its_directory_and_counts_once(ledger, controller):
    first = ledger.claim(controller, 1)
    ledger.fail(first.number, "exit code 1")
    again = ledger.claim(controller, 1)
    assert (again.number, first_of(again), again.params) == (1, 0, first.params)
    assert ledger.claim(controller, 1) is None
    assert ledger.tell(again.number, TrialState.COMPLETE, [1.0])
    assert [(first_of(trial), trial.state.name) for trial in ledger.latest()] == [(0, "COMPLETE")]


def test_retries_have_an_end(tmp_path, controller):
    ledger = make_ledger(tmp_path, retries=2)
    for _ in range(3):
        ledger.fail(ledger.claim(controller, 1).number, "exit code 1")
    assert ledger.claim(controller, 1) is None
    assert states(ledger) == ["FAIL"] * 3


def test_a_fault_of_the_request_is_not_tried_again(ledger, controller):
    ledger.fail(ledger.claim(controller, 1).number, "env.path: no such file", again=False)
    assert ledger.claim(controller, 1) is None


def test_attempts_of_an_outage_count_as_never_made(tmp_path, controller):
    ledger = make_ledger(tmp_path, retries=1)
    first, second = ledger.claim(controller, 2), ledger.claim(controller, 2)
    ledger.fail(first.number, "no simulator")  # queued as attempt 1
    again = ledger.claim(controller, 2)
    ledger.fail(again.number, "no simulator")  # its last
    ledger.fail(second.number, "no simulator")  # queued as attempt 1
    for _ in range(2):  # several controllers may say so
        ledger.queue_again([first, again, second])
    waiting = [trial for trial in ledger.trials() if trial.state == TrialState.WAITING]
    assert sorted((first_of(trial), trial.user_attrs[ATTEMPT]) for trial in waiting) == [(0, 0), (1, 0)]
    taken = [ledger.claim(controller, 2) for _ in range(2)]
    assert {first_of(trial): trial.params for trial in taken} == {0: first.params, 1: second.params}
    assert ledger.claim(controller, 2) is None


def test_burying_twice_or_after_the_end_changes_nothing(ledger, controller):
    trial = ledger.claim(controller, 1)
    assert ledger.tell(trial.number, TrialState.COMPLETE, [1.0])
    assert not ledger.tell(trial.number, TrialState.COMPLETE, [2.0])
    ledger.fail(trial.number, "late news")
    assert states(ledger) == ["COMPLETE"]
    assert ledger.study.best_value == 1.0


def test_trials_of_a_dead_controller_go_on_without_using_up_a_retry(ledger, controller, tmp_path):
    lost = ledger.claim(dead(tmp_path), 2)
    again = ledger.claim(controller, 2)
    assert (first_of(again), again.user_attrs[ATTEMPT]) == (lost.number, 0)
    assert first_of(ledger.claim(controller, 2)) == 2
    assert ledger.claim(controller, 2) is None


def test_a_trial_whose_worker_lives_is_left_alone_though_its_controller_died(ledger, controller, tmp_path):
    lost = ledger.claim(dead(tmp_path), 1)
    with Lease(ledger.worker_lease(lost)):
        assert ledger.claim(controller, 1) is None
    assert first_of(ledger.claim(controller, 1)) == lost.number


def test_who_died_between_asking_and_signing_loses_nothing(ledger, controller):
    unsigned = ledger.study.ask(ledger._space.distributions)
    again = ledger.claim(controller, 1)
    assert first_of(again) == unsigned.number
    assert ledger.claim(controller, 1) is None


def test_who_died_between_queueing_a_retry_and_failing_the_trial_doubles_nothing(ledger, controller):
    trial = ledger.claim(controller, 1)
    ledger._retry(trial)  # what bury does first; then the process dies
    ledger.fail(trial.number, "exit code 1")
    assert states(ledger) == ["FAIL", "WAITING"]


def test_jobs_of_a_dead_controller_are_adopted(ledger, controller, tmp_path):
    lost = ledger.claim(dead(tmp_path), 2)
    ledger.mark(lost.number, {"job": "77", "engine": "slurm"})
    mine = ledger.claim(controller, 2)
    assert first_of(mine) == lost.number  # nobody followed its job: it was tried again
    other = ledger.claim(dead(tmp_path), 2)
    ledger.mark(other.number, {"job": "78", "engine": "slurm"})
    adopted = ledger.adopt(controller, lambda trial: trial.user_attrs["job"] == "78")
    assert [trial.number for trial in adopted] == [other.number]
    assert ledger.claim(controller, 2) is None  # it lives on


def test_a_resumed_sweep_does_not_propose_what_it_proposed_before(tmp_path, controller):
    whole = make_ledger(tmp_path / "whole", sampler="random", seed=3)
    with Lease(tmp_path / "whole" / "controllers" / "me.json") as mine:
        points = [whole.claim(mine.path, 4).params["x"] for _ in range(4)]
    assert len(set(points)) == 4
    parts = make_ledger(tmp_path / "parts", sampler="random", seed=3)
    with Lease(tmp_path / "parts" / "controllers" / "me.json") as mine:
        found = [parts.claim(mine.path, 4).params["x"] for _ in range(2)]
        found += [reopened(parts).claim(mine.path, 4).params["x"] for _ in range(2)]
    assert found == points


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_sweep_that_was_interrupted_tries_the_same_points_as_an_undisturbed_one(tmp_path, sampler):
    def tried(name, interrupted):
        ledger, points = make_ledger(tmp_path / name, sampler=sampler, seed=3), []
        with Lease(tmp_path / name / "controllers" / "me.json") as mine:
            for number in range(14):
                trial = ledger.claim(mine.path, 14)
                if number == interrupted:
                    ledger.fail(trial.number, "ended by SIGINT", counts=False)
                    trial = ledger.claim(mine.path, 14)
                ledger.tell(trial.number, TrialState.COMPLETE, [trial.params["x"]])
                points.append(trial.params["x"])
        return points

    assert tried("parts", 3) == tried("whole", None)


def test_a_smaller_budget_goes_on_with_what_was_interrupted_and_leaves_the_queue(ledger, controller):
    ledger.plan([{"x": 0.1}, {"x": 0.2}, {"x": 0.3}, {"x": 0.4}], budget=4)
    lost = [ledger.claim(controller, 4) for _ in range(2)]
    for trial in lost:
        ledger.fail(trial.number, "ended by SIGINT", counts=False)
    again = [ledger.claim(controller, 2) for _ in range(2)]
    assert [(first_of(trial), trial.params, trial.state.name) for trial in again] == [
        (0, {"x": 0.1}, "RUNNING"), (1, {"x": 0.2}, "RUNNING"),
    ]  # fmt: skip
    assert ledger.claim(controller, 2) is None
    assert ledger.claim(controller, 3).params == {"x": 0.3}


def test_a_new_attempt_is_judged_by_what_the_trial_was_worth_before(ledger, controller):
    trial = ledger.claim(controller, 1)
    for step, value in ((200, 100.0), (300, 40.0)):
        ledger.storage.set_trial_intermediate_value(trial._trial_id, step, value)
    ledger.fail(trial.number, "ended by SIGKILL")
    assert ledger.claim(controller, 1).intermediate_values == {200: 100.0, 300: 40.0}


def test_a_database_that_is_not_there_is_one_line(ledger):
    pytest.importorskip("psycopg")
    with pytest.raises(UserError, match=r"sweep.storage=postgresql\+psycopg://127.0.0.1:9/x: .*give the URL"):
        reopened(ledger, storage="postgresql+psycopg://127.0.0.1:9/x")


def test_a_database_without_its_driver_is_one_line(ledger):
    with pytest.raises(UserError, match=r"sweep.storage=mysql\+pymysql://x/y: the database's driver is not installed"):
        reopened(ledger, storage="mysql+pymysql://x/y")


def test_two_directories_of_one_name_do_not_share_a_study(tmp_path):
    url = f"sqlite:///{tmp_path}/both.db"
    make_ledger(tmp_path / "one", storage=url)
    with pytest.raises(UserError, match=r"belongs to .*one"):
        make_ledger(tmp_path / "two", storage=url)


def test_a_copied_directory_goes_on_by_itself(tmp_path):
    ledger = make_ledger(tmp_path / "one")
    with Lease(tmp_path / "one" / "controllers" / "me.json") as mine:
        ledger.tell(ledger.claim(mine.path, 1).number, TrialState.COMPLETE, [1.0])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copied = Ledger(load_spec(tmp_path / "two"), tmp_path / "two", SPACE)
    with Lease(tmp_path / "two" / "controllers" / "me.json") as mine:
        assert copied.claim(mine.path, 2).number == 1
    assert len(ledger.trials()) == 1


def test_stock_optuna_reads_the_journal(ledger, controller):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    trial = ledger.claim(controller, 1)
    ledger.tell(trial.number, TrialState.COMPLETE, [4.5])
    storage = JournalStorage(JournalFileBackend(str(ledger.directory / JOURNAL)))
    study = optuna.load_study(storage=storage, study_name="toy")
    assert (study.best_value, study.best_params) == (4.5, trial.params)
    assert isinstance(ledger, Ledger)
