-- of_service --
select * from service_events
where org_id = %(org_id)s and service_id = %(service_id)s
    and id < coalesce(%(before)s, 9223372036854775807)
order by id desc
limit %(most)s
