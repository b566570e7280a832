-- How many builds a tag has led to; the number of an event about it.
alter table images add column generation bigint not null default 1;
create index images_builds on images (org_id, name, digest);

-- When a tag of our own was put on what a revision runs, so that no clean-up of the registry takes
-- it; null until then, and for what is in another registry.
alter table revisions add column kept_at timestamptz;

-- Where a sweep that takes several turns goes on. No tenant sees it.
create table sweep_positions (
    sweep    text primary key,
    position text not null
);
grant select, insert, update on sweep_positions to mc_worker;
