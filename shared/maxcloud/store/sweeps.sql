-- ended --
insert into sweeps (ended_at) values (now())
on conflict (only_one) do update set ended_at = excluded.ended_at

-- last --
select ended_at from sweeps
