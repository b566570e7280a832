from maxcloud.roles import Role


def test_a_role_covers_itself_and_what_is_below() -> None:
    covered = {(role, least) for role in Role for least in Role if role.covers(least)}
    order = [Role.ADMIN, Role.MEMBER, Role.DEPLOY, Role.READ]
    assert covered == {(role, least) for i, role in enumerate(order) for least in order[i:]}
