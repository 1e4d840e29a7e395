"""Task folders with a planted truth, of pairs and of single rows, shared by the tests of the kit."""

import pytest
from planted import plant


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("single"), paired=False, logprobs=False)


@pytest.fixture(params=["pair", "single"])
def either(request):
    return request.getfixturevalue(request.param)
