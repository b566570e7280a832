-- keep --
insert into dead_letters (event_id, source, type, subject, destination, code, headers, body)
values (
    %(event_id)s, %(source)s, %(type)s, %(subject)s, %(destination)s, %(code)s, %(headers)s,
    %(body)s
)
on conflict on constraint dead_letters_event_key do nothing
