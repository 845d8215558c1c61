// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
)

// on sets the clock and lets the unit go on for a few turns, an hour apart, as an agent would.
func (p *play) on(at time.Time) {
	p.t.Helper()
	p.now = at
	for range 4 {
		for range 6 { // what fails is tried again and again, so that there may be no rest
			_, err := p.take(nil)
			require.NoError(p.t, err)
		}
		p.now = p.now.Add(time.Hour)
	}
	p.judgeNow()
	p.judgeValidity()
}

// judgeValidity holds every certificate ever issued to the validity of its issuer.
func (p *play) judgeValidity() {
	p.t.Helper()
	var all []*x509.Certificate
	for _, entry := range readJournal(p.t, p.state()) {
		if entry.Event == ledger.Issued {
			parsed, err := cert.Parse(entry.Certificate)
			require.NoError(p.t, err)
			all = append(all, parsed)
		}
	}
	for _, one := range all {
		for _, issuer := range all {
			if cert.SelfSigned(issuer) && cert.IssuedBy(one, issuer) {
				require.False(p.t, one.NotBefore.Before(issuer.NotBefore), "%s begins before its issuer", one.Subject)
				require.False(p.t, one.NotAfter.After(issuer.NotAfter), "%s ends after its issuer", one.Subject)
			}
		}
	}
}

// serving is the certificate of etcd's server, which must be good now.
func (p *play) serving() *x509.Certificate {
	p.t.Helper()
	unit := p.relation(legacyID).OwnUnit
	leaf, err := cert.Parse(unit["etcd_0.server.cert"])
	require.NoError(p.t, err)
	roots := x509.NewCertPool()
	require.True(p.t, roots.AppendCertsFromPEM([]byte(unit["ca"])))
	between := x509.NewCertPool()
	between.AppendCertsFromPEM([]byte(unit["chain"]))
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: p.now})
	require.NoError(p.t, err, "at %s; %s", p.now, p.snap.Status)
	return leaf
}

// Wherever in the calendar a unit begins, it serves for half a year, and issues no more than it has to.
func TestTheCalendarHasNoTraps(t *testing.T) {
	t.Parallel()
	for sentence, begin := range map[string]time.Time{
		"a leap day":                      time.Date(2028, 2, 29, 23, 59, 30, 0, time.UTC),
		"the end of 32 bits":              time.Date(2038, 1, 19, 3, 14, 0, 0, time.UTC),
		"a month before 32 bits end":      time.Date(2037, 12, 20, 0, 0, 0, 0, time.UTC),
		"the end of UTCTime":              time.Date(2049, 12, 31, 23, 59, 30, 0, time.UTC),
		"certificates across its end":     time.Date(2049, 11, 1, 12, 0, 0, 0, time.UTC),
		"a CA across the end of UTCTime":  time.Date(2041, 6, 1, 12, 0, 0, 0, time.UTC),
		"a year that is no leap year":     time.Date(2100, 2, 28, 12, 0, 0, 0, time.UTC),
		"a clock that was never set":      time.Date(1970, 1, 1, 0, 5, 0, 0, time.UTC),
		"a year before the Juju of today": time.Date(2000, 2, 29, 12, 0, 0, 0, time.UTC),
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t)
			p.now = begin
			p.snap.Config = withOption(p.snap.Config, "listen", "10.0.0.1:8880")
			issued(p)
			for month := range 7 {
				p.on(begin.AddDate(0, month, 0))
				leaf := p.serving()
				require.Equal(t, leaf.NotBefore.Add(90*24*time.Hour-time.Second), leaf.NotAfter)
			}
			require.LessOrEqual(t, p.issues(), 25, "five certificates and a responder, renewed")
		})
	}
}

// A clock that goes wrong and is set right again: whatever was served, it is served afterwards, nothing stays revoked or
// withdrawn, lists go forward, and hardly more was issued than the two changes need.
func TestAClockThatGoesWrongDoesNoHarmForGood(t *testing.T) {
	t.Parallel()
	for sentence, wrong := range map[string]func(time.Time) time.Time{
		"two days back":     func(t time.Time) time.Time { return t.AddDate(0, 0, -2) },
		"an hour back":      func(t time.Time) time.Time { return t.Add(-time.Hour) },
		"a year ahead":      func(t time.Time) time.Time { return t.AddDate(1, 0, 0) },
		"nine years ahead":  func(t time.Time) time.Time { return t.AddDate(9, 0, 0) },
		"in a rollover":     func(t time.Time) time.Time { return t.AddDate(9, 9, 0) },
		"ten years ahead":   func(t time.Time) time.Time { return t.AddDate(10, 0, 0) },
		"at the epoch":      func(time.Time) time.Time { return time.Unix(300, 0).UTC() },
		"sixty years ahead": func(t time.Time) time.Time { return t.AddDate(60, 0, 0) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t)
			listening(p)
			revoked := p.revokeClient()
			right := p.now.AddDate(0, 0, 10)
			p.on(right)
			root, number, before := p.relation(legacyID).OwnUnit["ca"], p.list().Number, p.issues()
			p.on(wrong(right))
			during := p.issues()
			p.on(right.Add(6 * time.Hour))
			p.serving()
			require.Contains(t, p.relation(legacyID).OwnUnit["ca"], strings.TrimSpace(root), "who knows the CA goes on knowing it")
			require.Equal(t, juju.Active, p.snap.Status.Level, p.snap.Status.Message)
			require.NotContains(t, p.snap.Status.Message, "circles")
			after := p.issues()
			p.on(right.AddDate(0, 0, 1))
			p.serving()
			require.Equal(t, after, p.issues(), "it is at rest")
			list := p.list()
			require.GreaterOrEqual(t, list.Number.Cmp(number), 0, "numbers of lists never go down")
			require.True(t, slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
				return cert.SerialText(e.SerialNumber) == revoked
			}), "what is revoked stays so")
			require.False(t, list.ThisUpdate.After(p.now), "the list is good now")
			require.Len(t, list.RevokedCertificateEntries, 1, "nothing else is revoked")
			t.Logf("%d issued before, %d when the clock was wrong, %d when it was right again", before, during-before, after-during)
			require.LessOrEqual(t, during-before, 12)
			require.LessOrEqual(t, after-during, 12)
		})
	}
}

// revokeClient revokes a certificate, and gives its number.
func (p *play) revokeClient() string {
	var pairs map[string]struct{ Cert string }
	require.NoError(p.t, json.Unmarshal([]byte(p.relation(legacyID).OwnUnit["etcd_0.processed_client_requests"]), &pairs))
	serial := serialOf(p.t, pairs["etcd_0-client"].Cert)
	p.act(func(p *play) bool { return strings.Contains(p.relation(peersID).OwnApp["revoked.1"], serial) }, "revoke", "serial", serial, "reason", "superseded")
	p.settle()
	return serial
}

// list is the revocation list of the first CA.
func (p *play) list() *x509.RevocationList {
	p.t.Helper()
	block, _ := pem.Decode([]byte(p.relation(peersID).OwnApp["crl.1"]))
	require.NotNil(p.t, block, "there is a list")
	list, err := x509.ParseRevocationList(block.Bytes)
	require.NoError(p.t, err)
	return list
}

// A clock that is behind the CA's own beginning signs nothing, and says what to do.
func TestAClockBehindTheCASignsNothing(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	issued(p)
	count := p.issues()
	p.now = p.now.AddDate(-1, 0, 0)
	p.moreRequests()
	_, err := p.take(nil)
	require.NoError(t, err)
	require.Equal(t, count, p.issues())
	require.Contains(t, p.snap.Status.Message, "set the machine's clock")
	p.now = noon().Add(time.Hour)
	p.settle()
	require.Equal(t, count+1, p.issues())
	require.Equal(t, juju.Active, p.snap.Status.Level, p.snap.Status.Message)
}
