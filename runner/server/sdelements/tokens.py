"""Tokens (an extension): made, listed and revoked by administrators."""

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from runner.server.auth import Caller
from runner.server.body import read_body
from runner.server.fields import Fields
from runner.server.paging import Item, Source, listing
from runner.server.replies import Invalid, not_found, reply
from runner.server.sdelements.shapes import Shown, instant
from runner.server.services import services_of
from runner.server.unit import writing
from runner.store import accounts
from runner.store.accounts import Role, Scope, Token, User
from runner.store.pages import Cut

_SCOPES = frozenset(scope.value for scope in Scope)


def _shown(token: Token) -> Shown:
    return {
        "id": token.id,
        "user": token.user,
        "scopes": token.scopes,
        "created": instant(token.created),
        "expires": instant(token.expires),
        "last_used": instant(token.last_used),
    }


def _page(c: sa.Connection, part: Cut) -> list[Item]:
    return [(token.id, _shown(token)) for token in accounts.token_page(c, part)]


async def list_tokens(request: Request) -> Response:
    """Tell the tokens there are, without themselves."""

    def prepare(_c: sa.Connection, _caller: Caller) -> Source:
        return Source(page=_page, count=accounts.token_count)

    return await listing(request, prepare, Scope.ADMIN)


async def create_token(request: Request) -> Response:
    """Make a token for a user, and tell it this once."""
    body, now = await read_body(request), services_of(request).clock()

    def create(c: sa.Connection, _caller: Caller) -> Shown:
        fields = Fields(body.object())
        email = (fields.text("user", required=True, blank=False, longest=254) or "").strip()
        scopes = fields.texts("scopes", of=_SCOPES)
        admin = fields.boolean("admin") or False
        expires = fields.instant("expires")
        if email and (email.count("@") != 1 or any(character.isspace() for character in email)):
            fields.wrong("user", "Enter a valid email address.")
        if expires is not None and expires <= now:
            fields.wrong("expires", "It lies in the past.")
        fields.done()
        granted = {Scope(scope) for scope in scopes or ([] if admin else [Scope.READ])}
        if admin:
            granted.add(Scope.ADMIN)
        user_id = _user(accounts.user_by_email(c, email), email, granted)
        if user_id is None and not admin:
            raise Invalid({"user": ["There is no user with this e-mail."]})
        if user_id is None:
            user_id = accounts.create_user(
                c, email=email, now=now, role=Role.ADMINISTRATOR, is_superuser=True
            )
        ident, token = accounts.create_token(c, user_id=user_id, scopes=granted, expires=expires, now=now)
        return {
            "id": ident,
            "token": token,
            "user": email,
            "scopes": sorted(scope.value for scope in granted),
            "expires": instant(expires),
        }

    return reply(await writing(request, create, Scope.ADMIN), 201)


def _user(user: User | None, email: str, granted: set[Scope]) -> int | None:
    """The id of the user a token is for, if there is one; refused if it can't be theirs."""
    if user is None:
        return None
    if not user.is_active or user.is_service:
        raise Invalid({"user": [f"{email} is not active."]})
    if Scope.ADMIN in granted and not user.administers:
        raise Invalid({"user": [f"{email} is no administrator, so a token of theirs can't be one's."]})
    return user.id


async def delete_token(request: Request) -> Response:
    """Revoke a token."""
    ident = request.path_params["token_id"]

    def delete(c: sa.Connection, _caller: Caller) -> None:
        if not accounts.delete_token(c, ident):
            raise not_found()

    await writing(request, delete, Scope.ADMIN)
    return Response(status_code=204)
