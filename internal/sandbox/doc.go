// SPDX-License-Identifier: AGPL-3.0-only

// Package sandbox is an embedded Juju: a model with applications, units, relations, leadership, configuration and
// secrets (Model), a controller that serves it over TLS websockets on Juju's own rpc server exactly as a unit agent's
// client expects it (Controller), and a runner of hooks. Its zero configuration is ready to use, everything listens on
// loopback only, and it is never more lenient than a real controller: what passes here passes on Juju 3.6 and 4.x.
//
// # Who may do what
//
// The rules are those of Juju 3.6.25; the sources named are uniter.go (apiserver/facades/agent/uniter), secrets.go
// (…/agent/secretsmanager), access.go (apiserver/common/secrets) and Juju's state and lease packages. "Denied" has the code
// "unauthorized access"; "stricter" marks what Juju 3.6 would let pass.
//
//	Relation                      not there: denied; of others: not found            uniter.go:1698, 741 of state/relation.go
//	RelationById                  not there or of others: denied                     uniter.go:1664
//	ReadSettings, own unit        other units: denied; never in scope: not found     uniter.go:1295
//	  own application             the leader, in a peer relation all; else denied    uniter.go:1404
//	ReadRemoteSettings, unit      own unit, units not related: denied; gone units
//	                              can be read; stricter: a unit of the own
//	                              application in a relation with another is denied   uniter.go:1865
//	  application                 the related one only; else denied                  uniter.go:1802
//	CommitHookChanges             another's tag anywhere: denied; leadership again
//	                              inside the transaction, which has no code          uniter.go:2672, state/leadership.go:26
//	  secrets                     before it and one by one; codes are lost           uniter.go:2845
//	  track latest                stricter: what may not be read is denied           secrets.go:847
//	EnterScope                    dying unit or relation: its own code               state/relationunit.go:86
//	ApplicationStatus             by the unit's tag, if it leads                     status.go:98
//	CreateSecretURIs, creations   dying owners are refused; an application's by its
//	                              leader; stricter: content as secret-add takes it   state/secrets.go:362, 540; access.go:110
//	updates, grants, removals     owner, or leader for its application               access.go:35
//	grants                        relation and subject must live; stricter: only
//	                              with a relation, and one of the own                state/secrets.go:3364
//	GetSecretContentInfo          owner, its units, who has a grant; else denied     secrets.go:745, access.go:86
//	Watch… of secrets' owners     own units; own application if it leads             secrets.go:959
//	SecretsRotated                of the application's secrets only                  secrets.go:1082
//	ClaimLeadership               for itself, 5 s to 5 min                           leadership.go:52
//	BlockUntilLeadershipReleased  answers when nobody holds the lease                internal/worker/lease/manager.go:545
//
// Where to look next: Model and its one write path Commit, then Start for the controller.
package sandbox
