-- When the last sweep came to its end, for an operator to see that there are sweeps.
create table sweeps (
    only_one boolean primary key default true check (only_one),
    ended_at timestamptz not null
);

grant select, insert, update on sweeps to mc_worker;
