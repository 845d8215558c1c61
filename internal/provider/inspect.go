// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// Actions that only look. They end once all relations were served, and tell what this turn sees.

// look has an action tell what is seen in this turn.
func (s *step) look(tell func(*Overview) map[string]string) {
	s.overview = &Overview{Phase: Steady, pending: map[dialect.AskID]bool{}}
	s.late = func() {
		s.overview.Denials = s.denials
		if results := tell(s.overview); results != nil {
			s.succeed(results)
		}
	}
}

// seenCertificate is one line of list-certificates. Members are called as in the command "certs list".
type seenCertificate struct {
	State       string    `json:"state"` // waiting, valid, expiring, expired, revoked, held
	Relation    int       `json:"relation"`
	Application string    `json:"application"`
	Unit        string    `json:"unit,omitempty"`
	Kind        string    `json:"kind,omitempty"`
	Dialect     string    `json:"dialect"`
	CommonName  string    `json:"common-name,omitempty"`
	Names       []string  `json:"names,omitempty"`
	Serial      string    `json:"serial,omitempty"`
	Issuer      string    `json:"issuer,omitempty"`
	Generation  int       `json:"generation,omitempty"`
	NotAfter    time.Time `json:"not-after,omitzero"`
	DaysLeft    int       `json:"days-left"`
	RenewAt     time.Time `json:"renew-at,omitzero"`
}

func (s *step) seenCertificate(asked Asked) seenCertificate {
	ask := asked.Ask
	one := seenCertificate{
		State: "waiting", Relation: ask.Relation, Application: ask.App, Unit: ask.Unit, Kind: string(ask.Kind), Dialect: string(ask.Dialect),
		CommonName: ask.CommonName, Names: ask.Names.List(),
	}
	leaf := asked.Leaf
	if leaf == nil {
		return one
	}
	one.CommonName, one.Names = cmp.Or(leaf.Subject.CommonName, ask.CommonName), cert.NamesOf(leaf).List()
	one.Serial, one.Issuer, one.Generation = cert.SerialText(leaf.SerialNumber), leaf.Issuer.String(), asked.Generation
	one.NotAfter, one.DaysLeft, one.RenewAt = leaf.NotAfter.UTC(), int(leaf.NotAfter.Sub(s.now)/(24*time.Hour)), asked.Renew.UTC()
	switch {
	case asked.Held:
		one.State = "held"
	case asked.Revoked:
		one.State = "revoked"
	case s.now.After(leaf.NotAfter):
		one.State = "expired"
	case s.urgent(leaf):
		one.State = "expiring"
	default:
		one.State = "valid"
	}
	return one
}

// actCertificates lists what is published, or waits to be.
func (s *step) actCertificates(params *juju.Config) {
	state := params.Choice("state", "all", "waiting", "valid", "expiring", "expired", "revoked", "held")
	s.listCertificates(params, func(one seenCertificate) bool { return state == "all" || one.State == state })
}

// actExpiring lists what ends soon, the first to end first.
func (s *step) actExpiring(params *juju.Config) {
	within := s.now.Add(params.Span("within", 30*24*time.Hour))
	s.listCertificates(params, func(one seenCertificate) bool { return !one.NotAfter.IsZero() && one.NotAfter.Before(within) })
}

func (s *step) listCertificates(params *juju.Config, wanted func(seenCertificate) bool) {
	chosen, err := selected(params)
	format := params.Choice("format", "table", "json")
	if err != nil {
		s.fail("%v", err)
		return
	}
	s.look(func(seen *Overview) map[string]string {
		list := []seenCertificate{}
		for _, asked := range seen.Asks {
			if one := s.seenCertificate(asked); chosen.fitsAsk(asked) && wanted(one) {
				list = append(list, one)
			}
		}
		slices.SortStableFunc(list, func(a, b seenCertificate) int { return a.NotAfter.Compare(b.NotAfter) })
		results := map[string]string{"count": strconv.Itoa(len(list))}
		if format == "json" {
			return encoded(results, "certificates", list)
		}
		rows := [][]string{{"UNIT", "RELATION", "KIND", "NAMES", "EXPIRES", "LEFT", "STATE", "SERIAL"}}
		for _, one := range list {
			ends, left := "-", "-"
			if !one.NotAfter.IsZero() {
				ends, left = one.NotAfter.Format(time.DateOnly), fmt.Sprintf("%dd", one.DaysLeft)
			}
			rows = append(rows, []string{
				cmp.Or(one.Unit, one.Application), strconv.Itoa(one.Relation), cmp.Or(one.Kind, "-"), shownNames(one.CommonName, one.Names), ends, left,
				one.State, cmp.Or(one.Serial, "-"),
			})
		}
		results["certificates"] = table(rows)
		return results
	})
}

// shownNames are a common name and the names besides it, as far as they fit into a line.
func shownNames(commonName string, names []string) string {
	const most = 3
	all := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == commonName })
	if commonName != "" {
		all = slices.Insert(all, 0, commonName)
	}
	if more := len(all) - most; more > 0 {
		return fmt.Sprintf("%s,+%d", strings.Join(all[:most], ","), more)
	}
	return cmp.Or(strings.Join(all, ","), "-")
}

// encoded adds a list as JSON to results.
func encoded(results map[string]string, name string, list any) map[string]string {
	text, err := json.Marshal(list)
	if err != nil { // of plain values, which have one
		return results
	}
	results[name] = string(text)
	return results
}

func table(rows [][]string) string {
	if len(rows) == 1 {
		return "none"
	}
	var text strings.Builder
	writer := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		_, _ = fmt.Fprintln(writer, strings.Join(row, "\t")) // into memory
	}
	_ = writer.Flush()
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// issuedEntry is what get-issued-certificates of the self-signed-certificates charm gives of a certificate, and whose it is.
type issuedEntry struct {
	Request     string   `json:"csr,omitempty"`
	Certificate string   `json:"certificate"`
	CA          string   `json:"ca"`
	Chain       []string `json:"chain"`
	Revoked     bool     `json:"revoked"`
	Relation    int      `json:"relation_id"`
	Application string   `json:"application_name"`
	Unit        string   `json:"unit_name,omitempty"`
}

// actIssued gives every certificate that is published, with its chain.
func (s *step) actIssued(*juju.Config) {
	s.look(func(seen *Overview) map[string]string {
		var list []issuedEntry
		for _, asked := range seen.Asks {
			if asked.Leaf == nil {
				continue
			}
			grant := s.dress(asked.Ask, cert.Issued{Certificate: cert.EncodeCertificates(asked.Leaf)})
			list = append(list, issuedEntry{
				Request: strings.TrimSpace(asked.Ask.Request), Certificate: strings.TrimSpace(grant.Issued.Certificate), CA: strings.TrimSpace(grant.Issued.CA),
				Chain: append([]string{grant.Issued.Certificate}, grant.Issued.Issuers...), Revoked: asked.Revoked,
				Relation: asked.Ask.Relation, Application: asked.Ask.App, Unit: asked.Ask.Unit,
			})
		}
		if len(list) == 0 {
			s.fail("No certificates issued yet. See list-requests for what is asked")
			return nil
		}
		return encoded(map[string]string{"count": strconv.Itoa(len(list))}, "certificates", list)
	})
}

// actCACertificate gives the certificate of the CA that signs.
func (s *step) actCACertificate(*juju.Config) {
	if s.current.slot == nil {
		s.fail("there is no CA yet: see the status of %s", s.snap.Application())
		return
	}
	s.succeed(map[string]string{
		"ca-certificate": strings.TrimSpace(s.current.Certificate), "root": strings.TrimSpace(s.current.root()),
		"chain": strings.TrimSpace(strings.Join(s.current.public().Chain(), "")),
	})
}

// actStatus tells in one answer how the authority is.
func (s *step) actStatus(*juju.Config) {
	s.look(func(seen *Overview) map[string]string {
		counts := map[string]int{}
		for _, asked := range seen.Asks {
			counts[s.seenCertificate(asked).State]++
			if asked.Pending {
				counts["outstanding"]++
			}
		}
		refused := slices.DeleteFunc(slices.Clone(seen.Denials), func(d dialect.Denial) bool { return d.Code.Temporary() })
		results := map[string]string{
			"unit": s.snap.Unit, "leader": strconv.FormatBool(s.snap.Leader), "version": cmp.Or(s.snap.Local[juju.VersionKey], "unknown"),
			"certificates": strconv.Itoa(counts["valid"] + counts["expiring"]), "expiring": strconv.Itoa(counts["expiring"]),
			"expired": strconv.Itoa(counts["expired"]), "revoked": strconv.Itoa(counts["revoked"] + counts["held"]),
			"waiting": strconv.Itoa(counts["waiting"]), "outstanding": strconv.Itoa(counts["outstanding"]), "refused": strconv.Itoa(len(refused)),
		}
		if !s.renewal.IsZero() {
			results["next-renewal"] = s.renewal.UTC().Format(time.RFC3339)
		}
		if s.current.slot != nil {
			results["ca"], results["ca-generation"] = s.current.certificate.Subject.String(), strconv.Itoa(s.current.Generation)
			results["ca-ends"] = s.current.certificate.NotAfter.UTC().Format(time.RFC3339)
			results["rollover"] = cmp.Or(s.rolloverNote(), "none under way")
		}
		var conditions []string
		for _, report := range s.decision.Reports {
			conditions = append(conditions, fmt.Sprintf("%s: %s", report.Level, report.Message))
		}
		results["conditions"] = cmp.Or(strings.Join(conditions, "\n"), "none")
		if !s.snap.Leader {
			results["note"] = fmt.Sprintf("only the leader sees every request: juju run %s/leader status", s.snap.Application())
		}
		return results
	})
}
