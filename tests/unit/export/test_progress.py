from fnet_export.base.progress import Lines, remaining


def test_a_log_says_every_15_seconds_how_far_a_stage_is(capsys):
    now = [0.0]
    progress = Lines(clock=lambda: now[0])
    progress.stage("prove parity")
    for second in range(0, 46, 5):
        now[0] = float(second)
        progress.step(second, 60, "float64 reference")
    assert capsys.readouterr().err.splitlines() == [
        "prove parity",
        "prove parity: 25%, float64 reference, about 45 s left",
        "prove parity: 50%, float64 reference, about 30 s left",
        "prove parity: 75%, float64 reference, about 15 s left",
    ]


def test_what_is_left_is_said_in_words():
    assert [remaining(*steps) for steps in ((0, 10, 5.0), (10, 10, 5.0), (5, 10, 30.0), (1, 10, 60.0))] == [
        "",
        "",
        "about 30 s left",
        "about 9 min left",
    ]
