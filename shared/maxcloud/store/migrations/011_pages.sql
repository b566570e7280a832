-- The order in which an organisation's services are listed, so that a page costs what it shows.
create index services_listed on services (org_id, name);
drop index services_org;
