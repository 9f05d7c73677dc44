"""What TikTok's read endpoints answer about a person at a moment (section 2.5). Pure."""

from datetime import datetime

from libs.simulator.curves import digest
from libs.simulator.people import Person, Post
from libs.simulator.tiktok.refusals import done
from libs.simulator.wire import Json
from libs.simulator.world import World

# Field of user/info -> the scope it needs.
USER_FIELDS = {
    "open_id": "user.info.basic",
    "union_id": "user.info.basic",
    "avatar_url": "user.info.basic",
    "display_name": "user.info.basic",
    "username": "user.info.profile",
    "bio_description": "user.info.profile",
    "profile_deep_link": "user.info.profile",
    "is_verified": "user.info.profile",
    "follower_count": "user.info.stats",
    "following_count": "user.info.stats",
    "likes_count": "user.info.stats",
    "video_count": "user.info.stats",
}
POLLED_USER = (
    "open_id", "username", "display_name", "avatar_url", "follower_count", "following_count",
    "likes_count", "video_count",
)  # fmt: skip
VIDEO_FIELDS = (
    "id", "create_time", "cover_image_url", "share_url", "title", "video_description", "duration",
    "height", "width", "embed_link", "like_count", "comment_count", "share_count", "view_count",
)  # fmt: skip
POLLED_VIDEO = (
    "id", "create_time", "share_url", "title", "video_description", "like_count", "comment_count",
    "share_count", "view_count",
)  # fmt: skip
PAGE = 20


def user_info(
    world: World, person: Person, at: datetime, names: tuple[str, ...] = POLLED_USER
) -> Json:
    """The body of GET /v2/user/info/."""
    deep = f"https://www.tiktok.com/@{person.handle}"
    everything = {
        "open_id": person.account_id,
        "union_id": person.member_id,
        "avatar_url": f"https://cdn.example.com/tt/{person.member_id}.jpg",
        "display_name": person.name,
        "username": person.handle,
        "bio_description": f"{person.name} on the simulated TikTok",
        "profile_deep_link": deep,
        "is_verified": person.verified,
        "follower_count": world.followers(person, at),
        "following_count": person.following,
        "likes_count": world.total(person, at).likes,
        "video_count": world.posts_count(person, at),
    }
    return done({"user": {name: everything[name] for name in names}})


def video(
    world: World, person: Person, post: Post, at: datetime, names: tuple[str, ...] = POLLED_VIDEO
) -> Json:
    """One video object."""
    n = world.numbers(person, post, at)
    everything = {
        "id": post.id,
        "create_time": int(post.created_at.timestamp()),
        "cover_image_url": f"https://cdn.example.com/tt/{post.id}.jpg",
        "share_url": f"https://www.tiktok.com/@{person.handle}/video/{post.id}",
        "title": post.caption,
        "video_description": post.caption,
        "duration": 8 + digest(post.id) % 50,
        "height": 1024,
        "width": 576,
        "embed_link": f"https://www.tiktok.com/player/v1/{post.id}",
        "like_count": n.likes,
        "comment_count": n.comments,
        "share_count": n.shares,
        "view_count": n.views,
    }
    return {name: everything[name] for name in names}


def video_list(
    world: World,
    person: Person,
    at: datetime,
    *,
    names: tuple[str, ...] = POLLED_VIDEO,
    cursor: int | None = None,
    max_count: int = PAGE,
) -> Json:
    """One page of POST /v2/video/list/, newest first; `cursor` is a time in milliseconds."""
    posts = [
        post
        for post in world.posts(person, at)
        if cursor is None or post.created_at.timestamp() * 1000 < cursor
    ]
    page = posts[:max_count]
    oldest = page[-1].created_at if page else at
    return done(
        {
            "videos": [video(world, person, post, at, names) for post in page],
            "cursor": int(oldest.timestamp() * 1000),
            "has_more": len(posts) > max_count,
        }
    )


def all_pages(world: World, person: Person, at: datetime) -> list[Json]:
    """Every page of video/list, as a poller that follows the cursor gets them."""
    pages = [video_list(world, person, at)]
    while pages[-1]["data"]["has_more"]:
        pages.append(video_list(world, person, at, cursor=pages[-1]["data"]["cursor"]))
    return pages
