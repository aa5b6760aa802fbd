import pytest
from fnet_runtime.tokenizer.encoding import Padding
from support.checkpoints import LENGTH, tiny_config

from fnet_core.transform import TRANSFORMS
from fnet_export.base.errors import OptionError
from fnet_export.plan.transform_choice import CANDIDATES, choice_from_name, choice_from_times, transform_times_ms


@pytest.mark.parametrize(
    ("target", "length", "wanted"),
    [
        ("onnx", 512, "folded"),
        ("onnx", 2048, "factored"),
        ("onnx", 2051, "folded"),  # 7 x 293
        ("onnx", 2053, "folded"),  # a prime
        ("openvino", 512, "folded"),
        ("openvino", 2048, "factored"),
        ("tensorrt", 512, "dft"),
        ("tensorrt-rtx", 4096, "factored"),
        ("tensorrt-rtx", 4099, "dft"),
    ],
)
def test_the_table(target, length, wanted):
    choice = choice_from_name("auto", target=target, padding=Padding(length), config=tiny_config())
    assert (choice.name, choice.reason.startswith("table: ")) == (wanted, True)
    measured = {"onnx": "measured in ONNX Runtime", "openvino": "measured in OpenVINO"}.get(target, f"not measured in {target}")
    assert measured in choice.reason.replace("slices by the count of layers, not measured", f"not measured in {target}")


@pytest.mark.parametrize("name", ["auto", "measure", "dft"])
def test_a_model_without_fourier_layers_has_no_choice(name):
    choice = choice_from_name(name, target="onnx", padding=Padding(LENGTH), config=tiny_config(mixing="linear"))
    assert (choice.name, choice.reason) == ("none", "no layer has a Fourier transform")


@pytest.mark.parametrize("name", ["auto", "folded"])
@pytest.mark.parametrize("target", ["onnx", "openvino", "tensorrt", "tensorrt-rtx"])
def test_texts_at_their_own_length_have_one_transform(name, target):
    choice = choice_from_name(name, target=target, padding=Padding(2048, "none"), config=tiny_config())
    assert choice.name == "folded"
    assert choice.reason == "the only transform that takes texts of any length"


@pytest.mark.parametrize("name", ["measure", "butterfly", *(name for name in TRANSFORMS if name != "folded")])
def test_other_transforms_take_one_length_only(name):
    with pytest.raises(
        OptionError, match=f"--transform: expected auto or folded, the transform of texts at their own length; found '{name}'"
    ):
        choice_from_name(name, target="onnx", padding=Padding(LENGTH, "none"), config=tiny_config())


@pytest.mark.parametrize(
    "changes", [{"num_hidden_layers": 4, "attention_layers": (3,), "num_attention_heads": 4}, {"bos_token_id": 50}]
)
def test_other_models_are_measured_as_a_plain_one_of_their_sizes(changes):
    assert set(transform_times_ms(tiny_config(**changes), LENGTH)) == set(CANDIDATES)


def test_names_are_taken_as_they_are():
    choice = choice_from_name("fft", target="onnx", padding=Padding(8), config=tiny_config())
    assert (choice.name, choice.reason) == ("fft", "asked for")


def test_measured_here():
    assert set(transform_times_ms(tiny_config(), LENGTH)) == set(CANDIDATES)
    choice = choice_from_times({"dft": 2.0, "folded": 1.25, "factored": 3.0})
    assert choice.name == "folded"
    assert "dft 2.0 ms, folded 1.2 ms, factored 3.0 ms" in choice.reason
    unmeasured = choice_from_name("measure", target="onnx", padding=Padding(LENGTH), config=tiny_config())
    assert (unmeasured.name, unmeasured.reason) == (
        "measure",
        "the fastest of dft, folded, factored in ONNX Runtime on the exporting host",
    )


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("butterfly", "onnx", "--transform: expected one of auto, measure, fft, dft, folded, factored; found 'butterfly'"),
        ("measure", "tensorrt", "times ONNX Runtime only"),
    ],
)
def test_refused(name, target, message):
    with pytest.raises(OptionError, match=message):
        choice_from_name(name, target=target, padding=Padding(8), config=tiny_config())
