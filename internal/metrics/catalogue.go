// SPDX-License-Identifier: AGPL-3.0-only

package metrics

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/view"
)

// Catalogue is all metrics, in the order in which they are written.
func Catalogue() []Metric {
	return slices.Concat(ofUnit(), ofTurns(), ofCertificates(), ofRequests(), ofAuthorities(), ofRecord())
}

// seen has values found in a view, and none where there is no view.
func seen(find func(*view.View, samples)) func(Facts) samples {
	return func(facts Facts) samples {
		found := samples{}
		if facts.View != nil {
			find(facts.View, found)
		}
		return found
	}
}

func bit(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func ofUnit() []Metric {
	return []Metric{
		{
			Name: "signet_build_info", Kind: Gauge, Labels: []string{"version", "go_version", "fips"},
			Help: "Always 1: which program this is, and whether its cryptography keeps to FIPS 140-3.",
			values: func(facts Facts) samples {
				found := samples{}
				found.add(1, facts.Version, facts.GoVersion, facts.FIPS)
				return found
			},
		},
		{
			Name: "signet_controller_connected", Kind: Gauge, Help: "1 while the agent has a connection to the controller.",
			values: func(facts Facts) samples { return samples{"": bit(facts.Connected)} },
		},
		{
			Name: "signet_leader", Kind: Gauge, Help: "1 on the unit that led the application at its last turn.",
			values: seen(func(shown *view.View, found samples) { found.add(bit(shown.Leader)) }),
		},
		{
			Name: "signet_status", Kind: Gauge, Labels: []string{"level"}, Help: "1 for the level of the unit's status in Juju, 0 for the others.",
			values: seen(func(shown *view.View, found samples) {
				for _, level := range []juju.Level{juju.Active, juju.Waiting, juju.Maintenance, juju.Blocked} {
					found.add(bit(level == shown.Status.Level), string(level))
				}
			}),
		},
	}
}

func ofTurns() []Metric {
	return []Metric{
		{
			Name: "signet_turns_total", Kind: Counter, Labels: []string{"outcome"}, Help: "Turns since the agent started: `done` or `failed`.",
			values: func(facts Facts) samples {
				return samples{"done": float64(facts.Turns.Worked), "failed": float64(facts.Turns.Failed)}
			},
		},
		{
			Name: "signet_turn_failing", Kind: Gauge, Help: "1 while the last turn is one that failed.",
			values: func(facts Facts) samples { return samples{"": bit(facts.Turns.Failing)} },
		},
		{Name: "signet_turn_duration_seconds", Kind: Histogram, Help: "How long turns took.", turns: true},
		{
			Name: "signet_last_turn_timestamp_seconds", Kind: Gauge, Help: "When the last turn began that came to its end.",
			values: seen(func(shown *view.View, found samples) { found.at(shown.Turn) }),
		},
		{
			Name: "signet_next_turn_timestamp_seconds", Kind: Gauge, Help: "When the next turn is due, where nothing happens before.",
			values: seen(func(shown *view.View, found samples) { found.at(shown.Wake) }),
		},
	}
}

func ofCertificates() []Metric {
	return []Metric{
		{
			Name: "signet_certificates", Kind: Gauge, Labels: []string{"role", "state", "kind", "dialect"},
			Help: "Certificates: `issued` to others or the unit's `own`, by state (`valid`, `expiring` in the last tenth of its life, `expired`, `revoked`, `held`, `waiting`), kind and dialect.",
			values: seen(func(shown *view.View, found samples) {
				for _, one := range shown.Certificates {
					found.add(1, string(one.Role), string(one.State), one.Kind, one.Dialect)
				}
			}),
		},
		{
			Name: "signet_soonest_expiry_timestamp_seconds", Kind: Gauge, Labels: []string{"role", "application"},
			Help: "When the first certificate of an application ends, of those that are in use; of `own` ones, the application whose CA signed them.",
			values: seen(func(shown *view.View, found samples) {
				name := namer(shown)
				for _, one := range shown.Certificates {
					if one.Serial != "" && inUse(one.State) {
						found.least(float64(one.NotAfter.Unix()), string(one.Role), name(one.Application))
					}
				}
			}),
		},
		{
			Name: "signet_renewals_overdue", Kind: Gauge, Labels: []string{"role", "application"},
			Help: "Certificates whose renewal is due and was not put off, by application; 0 for those with none.",
			values: seen(func(shown *view.View, found samples) {
				name := namer(shown)
				for _, one := range shown.Certificates {
					if one.Serial != "" && inUse(one.State) && !one.RenewAt.IsZero() {
						due := !one.RenewAt.After(shown.At) && !one.PutOff.After(shown.At)
						found.add(bit(due), string(one.Role), name(one.Application))
					}
				}
			}),
		},
		{
			Name: "signet_orphaned_certificates", Kind: Gauge, Help: "Certificates that are published though nobody asks for them any more.",
			values: seen(func(shown *view.View, found samples) {
				for _, one := range shown.Certificates {
					found.add(bit(one.Orphaned))
				}
			}),
		},
		{
			Name: "signet_legacy_keys", Kind: Gauge,
			Help: "Private keys that the unit publishes in relation data, as the legacy dialect has it; every unit publishes the same.",
			values: seen(func(shown *view.View, found samples) {
				found.add(float64(shown.Record.LegacyKeys))
			}),
		},
	}
}

// inUse tells certificates that somebody relies on.
func inUse(state view.State) bool {
	return state != view.Revoked && state != view.Held && state != view.Waiting
}

func ofRequests() []Metric {
	return []Metric{
		{
			Name: "signet_requests", Kind: Gauge, Labels: []string{"outcome"}, Help: "Requests by what became of them: `granted`, `refused`, `waiting`, `outstanding`.",
			values: seen(func(shown *view.View, found samples) {
				for _, outcome := range []view.Outcome{view.Granted, view.Refused, view.InWaiting, view.Outstanding} {
					found.add(0, string(outcome))
				}
				for _, one := range shown.Requests {
					found.add(1, string(one.Outcome))
				}
			}),
		},
		{
			Name: "signet_refused_requests", Kind: Gauge, Labels: []string{"application", "code"}, Help: "Requests that are refused now, by application and code.",
			values: seen(func(shown *view.View, found samples) {
				name := namer(shown)
				for _, one := range shown.Requests {
					if one.Outcome == view.Refused {
						found.add(1, name(one.Application), cmp.Or(one.Code, "unknown"))
					}
				}
			}),
		},
		{
			Name: "signet_lapsing_certificates", Kind: Gauge, Labels: []string{"application"},
			Help: "Certificates that the policy allows no longer, and that will not be renewed.",
			values: seen(func(shown *view.View, found samples) {
				name := namer(shown)
				for _, one := range shown.Requests {
					if one.Lapsing {
						found.add(1, name(one.Application))
					}
				}
			}),
		},
	}
}

// perAuthority has one value for each CA.
func perAuthority(value func(view.Authority, samples, string)) func(Facts) samples {
	return seen(func(shown *view.View, found samples) {
		for _, one := range shown.Authorities {
			value(one, found, strconv.Itoa(one.Generation))
		}
	})
}

func ofAuthorities() []Metric {
	return []Metric{
		{
			Name: "signet_ca_not_after_timestamp_seconds", Kind: Gauge, Labels: []string{"generation", "role"},
			Help: "When a CA ends; its role is `requested`, `next`, `trusted`, `signing`, `retiring` or `withdrawn`.",
			values: perAuthority(func(one view.Authority, found samples, generation string) {
				found.at(one.NotAfter, generation, one.Role)
			}),
		},
		{
			Name: "signet_ca_issued", Kind: Gauge, Labels: []string{"generation"}, Help: "Certificates of a CA that are published.",
			values: perAuthority(func(one view.Authority, found samples, generation string) { found.add(float64(one.Issued), generation) }),
		},
		{
			Name: "signet_ca_revoked", Kind: Gauge, Labels: []string{"generation"}, Help: "Certificates of a CA that are revoked.",
			values: perAuthority(func(one view.Authority, found samples, generation string) {
				found.add(float64(one.Revoked), generation)
			}),
		},
		{
			Name: "signet_crl_next_update_timestamp_seconds", Kind: Gauge, Labels: []string{"generation"}, Help: "Until when a CA's revocation list is good.",
			values: perAuthority(func(one view.Authority, found samples, generation string) {
				if one.CRL != nil {
					found.at(one.CRL.NextUpdate, generation)
				}
			}),
		},
		{
			Name: "signet_crl_entries", Kind: Gauge, Labels: []string{"generation"}, Help: "Certificates that a CA's revocation list names.",
			values: perAuthority(func(one view.Authority, found samples, generation string) {
				if one.CRL != nil {
					found.add(float64(one.CRL.Entries), generation)
				}
			}),
		},
		{
			Name: "signet_rollover_phase", Kind: Gauge, Labels: []string{"phase"}, Help: "1 for the phase of the CA's replacement, 0 for the others; `steady` while none is under way.",
			values: seen(func(shown *view.View, found samples) {
				if shown.Rollover.Phase == "" {
					return
				}
				for _, phase := range view.Phases() {
					found.add(bit(string(phase) == shown.Rollover.Phase), string(phase))
				}
			}),
		},
		{
			Name: "signet_rollover_paused", Kind: Gauge, Help: "1 while the CA's replacement is paused.",
			values: seen(func(shown *view.View, found samples) { found.add(bit(shown.Rollover.Paused)) }),
		},
		{
			Name: "signet_rollover_next_timestamp_seconds", Kind: Gauge, Help: "When the next replacement of the CA begins by itself.",
			values: seen(func(shown *view.View, found samples) { found.at(shown.Rollover.Next) }),
		},
	}
}

func ofRecord() []Metric {
	counted := func(event string) func(Facts) samples {
		return seen(func(shown *view.View, found samples) { found.add(float64(shown.Record.Events[event])) })
	}
	return []Metric{
		{Name: "signet_issued_total", Kind: Counter, Help: "Certificates that this unit issued, by its record.", values: counted("issued")},
		{Name: "signet_revoked_total", Kind: Counter, Help: "Certificates that this unit revoked, by its record.", values: counted("revoked")},
		{
			Name: "signet_refusals_total", Kind: Counter, Labels: []string{"code"}, Help: "Refusals that this unit recorded, by code.",
			values: seen(func(shown *view.View, found samples) {
				for code, number := range shown.Record.Refusals {
					found.add(float64(number), code)
				}
			}),
		},
		{
			Name: "signet_record_entries", Kind: Gauge, Help: "Entries of this unit's record.",
			values: seen(func(shown *view.View, found samples) { found.add(float64(shown.Record.Entries)) }),
		},
		{
			Name: "signet_record_uncovered_entries", Kind: Gauge, Help: "Entries of this unit's record that no checkpoint vouches for yet.",
			values: seen(func(shown *view.View, found samples) { found.add(float64(shown.Record.Uncovered)) }),
		},
		{
			Name: "signet_record_checkpoint_timestamp_seconds", Kind: Gauge, Help: "When this unit's record was last vouched for with the CA's key.",
			values: seen(func(shown *view.View, found samples) { found.at(shown.Record.Checkpoint) }),
		},
		{
			Name: "signet_record_unreadable", Kind: Gauge, Help: "1 while this unit's record cannot be read.",
			values: seen(func(shown *view.View, found samples) { found.add(bit(shown.Record.Trouble != "")) }),
		},
		{
			Name: "signet_backup_timestamp_seconds", Kind: Gauge, Help: "When this unit last wrote a backup; no value where it never did.",
			values: seen(func(shown *view.View, found samples) { found.at(shown.Record.Backup) }),
		},
	}
}
