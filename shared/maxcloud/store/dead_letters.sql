-- keep --
insert into dead_letters (event_id, source, type, subject, destination, code, headers, body)
values (
    %(event_id)s, %(source)s, %(type)s, %(subject)s, %(destination)s, %(code)s, %(headers)s,
    %(body)s
)
on conflict on constraint dead_letters_event_key do nothing

-- count --
select count(*) from dead_letters

-- newest --
select * from dead_letters order by received_at desc limit %(most)s

-- named --
select * from dead_letters where id = any(%(ids)s::uuid[])

-- drop --
delete from dead_letters where id = any(%(ids)s::uuid[]) returning id
