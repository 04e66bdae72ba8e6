"""The system ``sync_ldap``: a directory decides who is here, and in which groups."""

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from runner.connectors.ldap_sync.decisions import Decisions, Rules
from runner.connectors.ldap_sync.params import LdapParams
from runner.connectors.ldap_sync.source import Person, Source
from runner.directory import names
from runner.directory.access import Access, parse_servers
from runner.directory.opening import connection_test, opened
from runner.errors import ConfigRejected, ConnectorFailure, IncompleteRead
from runner.model.changes import Change
from runner.model.jobs import Kind
from runner.model.people import address_key
from runner.model.platform import Account
from runner.ports import Context, Params, Step, SystemInfo

_SHOWN = 3
"""People that are named in the message; all of them stand in the log."""


class LdapSync:
    """Reads both sides whole, then tells what follows."""

    info: ClassVar[SystemInfo] = SystemInfo(
        kind=Kind.LDAP, name="LDAP directory", short_name="LDAP", command="sync_ldap"
    )
    params: ClassVar[type[Params]] = LdapParams

    def check(self, ctx: Context) -> Iterable[Step]:
        """Reach each server, log in, and find the base and the mapped groups."""
        params: LdapParams = ctx.params
        access = access_of(params, ctx)
        went = True
        for step in connection_test(access):
            went = step.ok
            yield step
        if went:
            yield from _look(ctx, params, access)
        yield _leavers(params)

    def plan(self, ctx: Context) -> Iterator[Change]:
        """Read the platform, then the directory, then compare."""
        params: LdapParams = ctx.params
        mapped = mappings(ctx, params)
        accounts = list(ctx.platform.accounts())
        considered = _considered(ctx, params)
        managed = frozenset(group for ids in mapped.values() for group in ids)
        users = ctx.reading(
            "the directory's users", target_size=sum(each.owned and each.is_active for each in accounts)
        )
        members = ctx.reading(
            "the members of the mapped groups",
            target_size=sum(len(managed.intersection(each.groups)) for each in accounts if each.directory_id),
        )
        with opened(access_of(params, ctx)) as directory:
            source = Source(directory, params)
            people = source.people(source.find_groups(mapped), extra=_only(ctx, params, accounts))
            unseen = _unseen(accounts, people, managed, params)
            if considered is not None:
                unseen = [each for each in unseen if address_key(each.email) in considered]
            absent = source.states([each.directory_id for each in unseen])
        ctx.count("people", len(people))
        if not people and unseen and ctx.job.only is None and not params.confirm_empty:
            msg = (
                "The directory shows nobody in any of the mapped groups, which is hardly true: nothing was "
                "changed. If it is, set confirm_empty for one run."
            )
            raise IncompleteRead(msg)
        decisions = Decisions(
            accounts=accounts,
            people=people,
            absent=absent,
            considered=considered,
            rules=Rules(
                group_ids=list(mapped.values()),
                deactivate_stale=params.deactivates_stale,
                # Of those outside the groups that this run looks at nothing is known.
                deactivate_groupless=params.deactivates_groupless and not params.ldap_filter.groups,
                users=users.complete(len(people)),
                members=members.complete(len(people)),
            ),
        )
        yield from decisions.changes()
        _tell(ctx, decisions.reports)


def access_of(params: LdapParams, ctx: Context) -> Access:
    """How the connection's directory is reached."""
    return Access(
        servers=parse_servers(params.ldap_server, params.ldap_method),
        security=params.ldap_method,
        bind_dn=params.bind_dn,
        password=params.bind_password.get_secret_value(),
        verify=params.ldap_validate_cert,
        ca_bundle=params.ca_bundle,
        network=ctx.network,
        page_size=params.page_size,
        timeout=params.timeout,
    )


def mappings(ctx: Context, params: LdapParams) -> dict[str, frozenset[str]]:
    """Ids of our groups by the name of the directory's; ``ConfigRejected`` if one isn't there."""
    groups = list(ctx.platform.groups())
    # In this order: its id, its very name, its name in another case.
    ours = {group.name.casefold(): group.id for group in groups}
    ours |= {group.name: group.id for group in groups} | {group.id: group.id for group in groups}
    found: dict[str, set[str]] = {}
    for mapping in ctx.platform.group_mappings():
        found.setdefault(mapping.ldap_group, set()).add(mapping.group_id)
    for ldap_group, wanted in params.group_mapping.items():
        name = str(wanted)
        group_id = ours.get(name) or ours.get(f"G{name}") or ours.get(name.casefold())
        if group_id is None:
            msg = f"group_mapping names the group {name!r}, and there is none. Make it, or correct the name."
            raise ConfigRejected(msg)
        found.setdefault(ldap_group, set()).add(group_id)
    limited = params.ldap_filter.groups
    unknown = sorted(set(limited) - found.keys())
    if unknown:
        msg = f"ldap_filter names the group {unknown[0]!r}, which no mapping names. Correct one of the two."
        raise ConfigRejected(msg)
    if not found:
        msg = "No group is mapped, so nobody is to be synchronised. Add a group mapping to the connection."
        raise ConfigRejected(msg)
    return {name: frozenset(ids) for name, ids in found.items() if not limited or name in limited}


def _considered(ctx: Context, params: LdapParams) -> set[str] | None:
    """The e-mails that the run is limited to; None = everybody."""
    limited = {address_key(email.strip()) for email in params.ldap_filter.users}
    if ctx.job.only is None:
        return limited or None
    only = address_key(ctx.job.only.strip())
    if limited and only not in limited:
        msg = f"{ctx.job.only} is not among the users of ldap_filter. Add them there, or leave it out."
        raise ConfigRejected(msg)
    return {only}


def _only(ctx: Context, params: LdapParams, accounts: Sequence[Account]) -> str:
    """The condition that a run for one person adds to its searches: the address, or who had it."""
    if ctx.job.only is None:
        return ""
    from runner.directory import ad

    email = ctx.job.only.strip()
    tied = [
        each.directory_id
        for each in accounts
        if each.directory_id and address_key(each.email) == address_key(email)
    ]
    found = f"({params.user_schema.email}={names.escape_filter(email)})"
    return f"(|{found}{''.join(map(ad.identity_filter, tied))})"


def _unseen(
    accounts: Sequence[Account], people: dict[str, Person], managed: frozenset[str], params: LdapParams
) -> list[Account]:
    """Accounts of the directory that no mapped group showed, and for whom something may follow from it."""
    leavers = params.deactivates_stale or params.deactivates_groupless
    return [
        each
        for each in accounts
        if each.directory_id
        and each.is_active
        and not each.protected
        and each.directory_id not in people
        and (not managed.isdisjoint(each.groups) or (each.owned and leavers))
    ]


def _look(ctx: Context, params: LdapParams, access: Access) -> Iterator[Step]:
    try:
        mapped = mappings(ctx, params)
        with opened(access) as directory:
            source = Source(directory, params)
            if directory.read(params.base_dn, ["objectClass"]) is None:
                yield Step(name="base", ok=False, message=f"There is nothing at base_dn {params.base_dn!r}.")
                return
            yield Step(name="base", ok=True, message=f"People are looked for below {params.base_dn}.")
            found = source.find_groups(mapped)
    except ConnectorFailure as error:
        yield Step(name="groups", ok=False, message=error.message)
        return
    yield Step(name="groups", ok=True, message=f"All {len(found)} mapped groups are there.")


def _leavers(params: LdapParams) -> Step:
    if params.deactivates_stale and params.deactivates_groupless:
        text = "Who leaves the directory or the mapped groups is deactivated."
    elif params.deactivates_stale:
        text = "Who leaves the directory is deactivated; who only leaves the mapped groups is not."
    elif params.deactivates_groupless:
        text = "Who leaves the mapped groups is deactivated; who leaves the directory is NOT."
    else:
        text = (
            "Leavers are NOT deactivated: they keep their access. Set deactivate_stale_users to change that."
        )
    return Step(name="leavers", ok=True, message=text)


def _tell(ctx: Context, reports: Sequence[str]) -> None:
    if not reports:
        return
    for report in reports:
        ctx.log("person_left_alone", why=report)
    more = f"; and {len(reports) - _SHOWN} more" if len(reports) > _SHOWN else ""
    ctx.say(f"Not decided, so left alone: {'; '.join(reports[:_SHOWN])}{more}.")
    ctx.count("undecided", len(reports))
