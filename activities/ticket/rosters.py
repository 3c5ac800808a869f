"""The technicians of each tenant, kept in memory as long as nobody changes them."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from policy.assignment.ranking import SortedOut, sorted_out
from policy.assignment.roster import Technician

if TYPE_CHECKING:  # which itself asks for rosters
    from runtime.postgres.pool import Connection

# Every write gives its rows a higher xmin, and a row that is gone is counted no more.
MARK = """
SELECT concat_ws(' ',
    (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM technicians),
    (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM technician_skills),
    (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM technician_regions))
"""
ROSTER = """
WITH skilled AS (
    SELECT technician_id AS id, array_agg(skill) AS skills FROM technician_skills GROUP BY 1
), serving AS (
    SELECT technician_id AS id, array_agg(region) AS regions FROM technician_regions GROUP BY 1
)
SELECT t.id, t.name, t.active, t.home_region,
       coalesce(skills, '{}') AS skills, coalesce(regions, '{}') AS regions
  FROM technicians t LEFT JOIN skilled USING (id) LEFT JOIN serving USING (id)
 ORDER BY t.id
"""
# With 2,000 technicians a kind of visit takes 0.6 MB, and 5 ms to sort them out anew.
TENANTS, KINDS_OF_VISIT = 8, 16


class _Kept(NamedTuple):
    mark: str
    sorted_out: Callable[[str, str | None], SortedOut]


class Rosters:
    """The rosters of one database: what a tenant's was at `mark`, and who fitted which visits."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    async def sorted_out(
        self, conn: "Connection", tenant_id: str, service_type: str, region: str | None
    ) -> SortedOut:
        """Return the tenant's technicians by whether they fit; the tenant is set on `conn`."""
        mark: str = await conn.fetchval(MARK)
        kept = self._kept.get(tenant_id)
        if kept is None or kept.mark != mark:
            # Read after the mark: what was changed in between is under another mark, next time.
            technicians = tuple(Technician(*row) for row in await conn.fetch(ROSTER))
            remembering = lru_cache(KINDS_OF_VISIT)(partial(sorted_out, technicians))
            kept = self._kept[tenant_id] = _Kept(mark, remembering)
            if len(self._kept) > TENANTS:
                del self._kept[next(iter(self._kept))]
        return kept.sorted_out(service_type, region)
