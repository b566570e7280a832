-- Who may see what. mc_api serves one organisation per transaction (app.org), mc_worker all of
-- them, mc_lookup answers the few questions that come before the tenant is known. The roles are
-- the server's, not the database's, so another database may have made them already.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['mc_api', 'mc_worker', 'mc_lookup'] loop
        begin
            execute format('create role %I nologin nosuperuser nobypassrls', wanted);
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;
end $$;

-- The organisation of this transaction; null, and so no row at all, where none was set.
create function app_org() returns uuid language sql stable as
$$ select nullif(current_setting('app.org', true), '')::uuid $$;

create procedure protect_tenant_table(name regclass) language plpgsql as $$
begin
    execute format('alter table %s enable row level security', name);
    execute format('alter table %s force row level security', name);
    execute format('create policy tenant on %s using (org_id = app_org()) with check (org_id = app_org())', name);
    execute format('create policy worker on %s to mc_worker using (true) with check (true)', name);
    execute format('create policy lookup on %s for select to mc_lookup using (true)', name);
    execute format('grant select, insert, update, delete on %s to mc_api, mc_worker', name);
    execute format('grant select on %s to mc_lookup', name);
end $$;

call protect_tenant_table('services');
call protect_tenant_table('tombstones');
call protect_tenant_table('memberships');
call protect_tenant_table('api_keys');

alter table organizations enable row level security;
alter table organizations force row level security;
create policy tenant on organizations using (id = app_org()) with check (id = app_org());
create policy worker on organizations to mc_worker using (true);
create policy lookup on organizations for select to mc_lookup using (true);
grant select, insert, update on organizations to mc_api;
grant select on organizations to mc_worker, mc_lookup;
grant select, insert, update on users to mc_api;
grant select on users to mc_worker, mc_lookup;

-- A name that another organisation gave back less than 30 days ago is not free. The answer says
-- no more than that, and it needs to see every tenant's tombstones: hence mc_lookup.
create function name_is_free(wanted text, asking uuid) returns boolean
    language sql stable security definer set search_path = pg_catalog, public as
$$
    select not exists (
        select from tombstones
        where name = wanted and org_id <> asking and deleted_at > now() - interval '30 days'
    )
$$;
-- An owner must be able to create in the schema while it takes over.
grant create on schema public to mc_lookup;
alter function name_is_free(text, uuid) owner to mc_lookup;
revoke create on schema public from mc_lookup;
revoke execute on function name_is_free(text, uuid) from public;
grant execute on function name_is_free(text, uuid) to mc_api, mc_worker;
