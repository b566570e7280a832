-- of_service --
select * from service_events
where org_id = %(org_id)s and service_id = %(service_id)s
order by id desc
limit 100
