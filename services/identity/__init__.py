"""Owns users, workspaces and workspace_members, and the sessions and passwords of people.

Emits UserRegistered, UserLoggedIn, WorkspaceCreated, WorkspaceRenamed, MemberAdded,
MemberRoleChanged and MemberRemoved on `identity.events`. Consumes nothing.
"""
