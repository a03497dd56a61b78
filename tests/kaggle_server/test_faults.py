"""What goes wrong on any method, as the real library sees it.

A connection that breaks is a ProxyError here, a kind of ConnectionError, as the server is the client's proxy.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.kaggle_server.library import Library, Raised
from tests.kaggle_server.start import Kaggle

METHODS = {
    "GetSubmissionLimits": "api.competition_get_submission_limits('faulty')",
    "ListDataFiles": "api.competition_list_files('faulty')",
    "ListKernels": "api.kernels_list(competition='faulty')",
    "GetAcceleratorQuotaStatistics": "api.quota_view()",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("fault", "raised", "status"),
    [
        ({"kind": "error", "status": 429, "retry_after": 7, "message": "Too many requests"}, "HTTPError", 429),
        ({"kind": "error", "status": 500}, "HTTPError", 500),
        ({"kind": "html"}, "JSONDecodeError", 0),
        ({"kind": "html", "status": 502}, "HTTPError", 502),
        ({"kind": "empty"}, "JSONDecodeError", 0),
        ({"kind": "hang", "seconds": 0.2}, "ProxyError", 0),
        ({"kind": "disconnect"}, "ProxyError", 0),
        ({"kind": "disconnect_after"}, "ProxyError", 0),
        ({"kind": "bad_json"}, "JSONDecodeError", 0),
    ],
)
def test_every_method_can_fail_in_every_way(
    server: Kaggle, library: Library, method: str, fault: dict[str, Any], raised: str, status: int
) -> None:
    server.competition("faulty")
    server.fault(method, None, fault)
    before = server.count(method)
    library(METHODS[method])
    with pytest.raises(Raised) as caught:
        library(METHODS[method])
    assert (caught.value.type, caught.value.status) == (raised, status)
    assert server.count(method) == before + 2 and server.log(method)[-1]["fault"] == fault["kind"]
    library(METHODS[method])


def test_the_reason_is_hidden_by_one_shape_and_told_by_the_other(server: Kaggle, library: Library) -> None:
    fault = {"kind": "error", "status": 400, "message": "The reason"}
    server.fault("GetSubmissionLimits", fault, {**fault, "shape": "flat"})
    with pytest.raises(Raised) as nested:
        library(METHODS["GetSubmissionLimits"])
    with pytest.raises(Raised) as flat:
        library(METHODS["GetSubmissionLimits"])
    assert "The reason" not in nested.value.text and '"message": "The reason"' in nested.value.answer
    assert flat.value.text == "The reason"
    server.settings(error_shape="flat")
    with pytest.raises(Raised, match="participate' was denied"):
        library("api.competition_get_submission_limits('nowhere')")


def test_a_fault_may_stay(server: Kaggle, library: Library) -> None:
    server.fault("GetAcceleratorQuotaStatistics", {"kind": "error", "status": 503}, always=True)
    for _ in range(3):
        with pytest.raises(Raised, match="503"):
            library("api.quota_view()")
    server.control("clear")
    library("api.quota_view()")


def test_an_answer_can_be_replaced_in_part(server: Kaggle, library: Library) -> None:
    server.competition("faulty")
    server.fault("GetSubmissionLimits", {"kind": "set", "values": {"numAllowedNow": 99}})
    assert library(METHODS["GetSubmissionLimits"])["numAllowedNow"] == 99


def test_unknown_faults_and_settings_are_refused(server: Kaggle) -> None:
    with pytest.raises(ValueError, match="no fault"):
        server.fault("ListDataFiles", {"kind": "flood"})
    with pytest.raises(ValueError, match="no setting colour"):
        server.settings(colour="blue")
    with pytest.raises(ValueError, match="no verb"):
        server.control("dance")
