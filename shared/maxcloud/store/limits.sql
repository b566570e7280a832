-- count_across_tenants --
select count_attempt(%(bucket)s, %(most)s, %(seconds)s)

-- forget_across_tenants --
delete from rate_limits where closes_at <= now()
