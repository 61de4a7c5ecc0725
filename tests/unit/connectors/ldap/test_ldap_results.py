"""What each result of a directory stands for."""

from __future__ import annotations

import sys

import pytest

from hikeshi.connector import (
    Applied,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi_connectors.ldap.results import error_of_bind, error_of_result
from hikeshi_connectors.ldap.session import load_ldap3


@pytest.mark.parametrize(
    ("code", "kind", "applied"),
    [
        (1, Unavailable, Applied.MAYBE),
        (2, Invalid, Applied.NO),
        (3, Timeout, Applied.MAYBE),
        (4, Invalid, Applied.NO),
        (8, Unauthorized, Applied.NO),
        (10, Unsupported, Applied.NO),
        (11, Invalid, Applied.NO),
        (16, Conflict, Applied.NO),
        (19, Invalid, Applied.NO),
        (20, Conflict, Applied.NO),
        (32, NotFound, Applied.NO),
        (49, Unauthorized, Applied.NO),
        (50, Forbidden, Applied.NO),
        (51, RateLimited, Applied.NO),
        (52, Unavailable, Applied.MAYBE),
        (53, Conflict, Applied.NO),
        (65, Unsupported, Applied.NO),
        (68, Conflict, Applied.NO),
        (80, Unavailable, Applied.MAYBE),
        (123, Invalid, Applied.NO),
    ],
)
def test_each_result_is_its_own_error(code, kind, applied):
    """Both ways of saying "already so" are conflicts; only a failure inside may come after the effect."""
    error = error_of_result(code, "named", "said\x00 so", "directory", is_change=True)
    assert type(error) is kind
    assert error.applied is applied
    assert f"directory answered {code} named" in error.message
    assert "(said so)" in error.message
    assert error_of_result(code, "named", "", "directory", is_change=False).applied is Applied.NO


@pytest.mark.parametrize(
    ("data", "told"),
    [("52e", "password is wrong"), ("533", "disabled"), ("775", "locked"), ("532", "expired"), ("999", "data 999")],
)
def test_active_directory_says_why_a_sign_in_is_refused(data, told):
    """By a number in its text, which is the only place where it says so."""
    said = f"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1"
    error = error_of_bind(49, "invalidCredentials", said, "directory")
    assert isinstance(error, Unauthorized)
    assert told in error.message


@pytest.mark.parametrize(
    ("code", "kind"), [(8, Unauthorized), (53, Unauthorized), (49, Unauthorized), (52, Unavailable)]
)
def test_a_refused_sign_in_has_changed_nothing(code, kind):
    """Whatever the reason."""
    error = error_of_bind(code, "named", "", "directory")
    assert type(error) is kind
    assert error.applied is Applied.NO


def test_a_search_without_a_beginning_says_nothing_about_what_exists():
    """So it is no NotFound."""
    error = error_of_result(32, "noSuchObject", "", "directory", is_change=False)
    assert type(error) is Invalid
    assert "base_dn" in error.message


def test_a_missing_library_names_what_to_install(monkeypatch):
    """As every optional part does."""
    monkeypatch.setitem(sys.modules, "ldap3", None)
    with pytest.raises(Unsupported, match=r"pip install 'hikeshi\[ldap\]'"):
        load_ldap3()
