"""Runs that differ in what nobody wanted to compare are told, and nothing else is."""

from hbr.compare.fairness import PER_ENCODER, RunFacts, contamination, differences


def run(name: str, encoder: str = "xlm-r", **facts: object) -> RunFacts:
    return RunFacts(name, encoder, {k.replace("__", "."): str(v) for k, v in facts.items()})


def test_runs_that_were_made_alike_are_fair():
    assert differences([run("a", steps=10, data="x"), run("b", steps=10, data="x")], ()) == []
    assert differences([run("a", steps=10)], ()) == []
    assert differences([], ()) == []


def test_a_fact_in_which_runs_differ_is_told_with_the_runs():
    runs = [run("a", steps=10), run("b", steps=20)]
    assert differences(runs, ()) == ["runs differ in steps: 10 (a), 20 (b)"]


def test_what_most_runs_have_comes_first():
    runs = [run("a", steps=10), run("b", steps=20), run("c", steps=20), run("d", steps=20)]
    assert differences(runs, ()) == ["runs differ in steps: 20 (b and 2 more), 10 (a)"]


def test_what_is_varied_on_purpose_is_fair():
    runs = [run("a", train__max_steps=10, lr=1), run("b", train__max_steps=20, lr=2)]
    assert differences(runs, {"train.max_steps"}) == ["runs differ in lr: 1 (a), 2 (b)"]


def test_a_fact_that_some_runs_have_is_compared_among_them():
    untrained = run("a", pooling="mean")
    assert differences([untrained, run("b", pooling="mean", steps=1)], ()) == []
    runs = [untrained, run("b", pooling="mean", steps=1), run("c", pooling="mean", steps=2)]
    assert differences(runs, ()) == ["runs differ in steps: 1 (b), 2 (c)"]


def test_every_difference_is_told_in_the_order_of_the_facts():
    runs = [run("a", data="x", steps=1), run("b", data="y", steps=2)]
    assert [line.split(":")[0] for line in differences(runs, ())] == [
        "runs differ in data",
        "runs differ in steps",
    ]


def test_what_goes_with_an_encoder_may_differ_between_encoders_and_not_within_one():
    assert "encoder.pooling" in PER_ENCODER
    one = run("a", "labse", encoder__pooling="cls")
    two = run("b", "xlm-r", encoder__pooling="mean")
    assert differences([one, two], ()) == []
    three = run("c", "xlm-r", encoder__pooling="cls")
    assert differences([one, two, three], ()) == [
        "runs differ in encoder.pooling: mean (b), cls (c)"
    ]


def test_other_facts_may_not_differ_between_encoders_either():
    runs = [
        run("a", "labse", encoder__query_max_seq_length=64),
        run("b", encoder__query_max_seq_length=32),
    ]
    assert differences(runs, ()) == ["runs differ in encoder.query_max_seq_length: 64 (a), 32 (b)"]


def test_contamination_is_one_sentence_of_training_near_duplicates_and_validation():
    metrics = {"queries": 1000, "passages": 20}
    none = {"queries": 0, "passages": 0}
    assert contamination({**metrics, "training": {"contamination": none, "validation": none}}) == ""
    training = {
        "contamination": {"queries": 0, "passages": 3},
        "near_duplicates": {"queries": 0, "passages": 4},
        "validation": {"queries": 1000, "passages": 1},
    }
    assert contamination({**metrics, "training": training}) == (
        "0 of 1,000 queries and 3 of 20 passages are among the training texts; "
        "0 of 1,000 queries and 4 of 20 passages are nearly so; "
        "1,000 of 1,000 queries and 1 of 20 passages are among the validation texts, by which the "
        "checkpoint was chosen"
    )
