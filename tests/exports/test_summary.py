"""The summary of an export on the terminal."""

from dataclasses import replace

from tests.exports.reports import run_report
from vitprune.exports.summary import summarize
from vitprune.runs.format_report import FormatReport, Verification


def test_main_numbers():
    assert summarize(run_report()).splitlines() == [
        "  sparsity 50.00%, validation accuracy 90.00%, 95.00% before pruning",
        "  900 parameters (1,000 before pruning), 500 of them nonzero",
        "  logits equal to those of the pruned model",
    ]


def test_the_file_is_as_large_as_before():
    report = run_report()
    report = replace(report, pruned=replace(report.pruned, parameters=report.base.parameters))
    assert summarize(report).splitlines()[2] == (
        "  pruned weights are stored as zeros; --formats compressed writes a smaller file"
    )
    assert "stored as zeros" not in summarize(replace(report, rounds=[]))


def test_an_unfinished_run_without_a_dense_model():
    report = run_report()
    report = replace(report, finished=False, base=replace(report.base, accuracy=None))
    first = summarize(report).splitlines()[0]
    assert first == (
        "  sparsity 50.00% (the pruning schedule is not complete), validation accuracy 90.00%"
    )


def test_parameters_that_no_configuration_leaves_out():
    report = run_report()
    report = replace(report, shrunk=replace(report.shrunk, dropped_by_load_pruned=100))
    assert summarize(report).splitlines()[2] == ("  800 parameters with load_pruned, pt2 and onnx")


def test_differences_and_formats():
    report = run_report(
        verification=Verification(0.00012, 400, 32),
        formats={
            "compressed": FormatReport(bytes=1234, lossless=True),
            "onnx": FormatReport(
                bytes=99, largest_logit_difference=0.002, top1_agreement=0.5, images=32
            ),
            "semi_structured": FormatReport(converted=False, note="there is no CUDA GPU: dense"),
        },
    )
    assert summarize(report).splitlines()[2:] == [
        "  logits differ from the pruned model by at most 0.0001",
        "  compressed: 1,234 bytes, restores every bit of the weights",
        "  onnx: 99 bytes, logits differ from the pruned model by at most 0.002, same class for "
        "50.0% of 32 images",
        "  semi_structured: there is no CUDA GPU: dense",
    ]
