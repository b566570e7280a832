-- The registry refused the image of the newest write: it is not asked again until another write
-- names an image, and what is done meanwhile (a rollback) runs what the newest revision runs.
alter table services add column image_refused boolean not null default false;
-- An owner that is no superuser sees no tenant's rows.
alter table services no force row level security;
update services set image_refused = true where status = 'failed' and digest is null;
alter table services force row level security;

-- When a revision could first serve; null for one that never could.
alter table revisions add column ready_at timestamptz;
