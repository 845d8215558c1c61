// SPDX-License-Identifier: AGPL-3.0-only

package view_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/view"
)

// model is what Juju holds of one unit, in memory.
type model struct {
	snap juju.Snapshot
	fail error
}

func (m *model) Snapshot(context.Context) (juju.Snapshot, error) { return m.snap.Clone(), m.fail }

func (m *model) Confirm(_ context.Context, snap juju.Snapshot, _ juju.Changes) error {
	return juju.Overtaken(snap, m.snap)
}

func (m *model) Commit(_ context.Context, changes juju.Changes) error {
	m.snap = juju.Apply(m.snap, changes)
	return nil
}

// scene is a unit that leads, with a CA, a disk and relations with etcd (legacy dialect) and web (CSR dialect).
type scene struct {
	t     testing.TB
	model *model
	unit  *agent.Unit
	root  string
	now   time.Time
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{t: t, root: filepath.Join(t.TempDir(), "state"), now: time.Now()}
	folder, err := disk.OpenOn(s.root, func(op disk.Op) error {
		if op.Kind == disk.Sync {
			return nil // no crash here
		}
		return disk.Perform(op)
	})
	require.NoError(t, err)
	provides := juju.Endpoint{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides}
	s.model = &model{snap: juju.Snapshot{
		Endpoints: []juju.Endpoint{provides}, Unit: "signet/0", ModelName: "test", ModelUUID: "uuid", JujuVersion: "3.6.25",
		Leader: true, CanSecrets: true, Config: map[string]any{"policy": "kubernetes"},
		Relations: []juju.Relation{
			{
				ID: 1, Endpoint: juju.Endpoint{Name: "peers", Interface: "signet_peers", Role: juju.Peers}, RemoteApp: "signet",
				OwnUnit: juju.Bag{}, OwnApp: juju.Bag{},
			},
			{ID: 2, Endpoint: provides, RemoteApp: "etcd", OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteUnits: map[string]juju.Bag{
				"etcd/0": {"unit_name": "etcd_0", "common_name": "etcd-0.example.com", "sans": `["10.0.0.5"]`},
				"etcd/1": {"unit_name": "etcd_1", "client_cert_requests": `{"system:masters": {"sans": []}, "reader": {"sans": []}}`},
			}},
			{ID: 3, Endpoint: provides, RemoteApp: "web", OwnUnit: juju.Bag{}, OwnApp: juju.Bag{}, RemoteUnits: map[string]juju.Bag{
				"web/0": requests(t, "web-0.example.com"), "web/1": {"certificate_signing_requests": `[{"certificate_signing_request": "nonsense"}]`},
			}},
		},
	}}
	s.unit = &agent.Unit{
		Session: s.model, Folder: folder, Authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}),
		Machine: host.New(host.Config{Records: folder.Ran(), Root: t.TempDir()}), Version: "1.2.3",
		Now: func() time.Time { return s.now }, Log: slog.New(slog.DiscardHandler),
	}
	return s
}

// requests is a databag with a request for a server's certificate.
func requests(t testing.TB, name string) juju.Bag {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
	}, key)
	require.NoError(t, err)
	text := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
	list, err := json.Marshal([]map[string]any{{"certificate_signing_request": text, "ca": false}})
	require.NoError(t, err)
	return juju.Bag{"certificate_signing_requests": string(list)}
}

func (s *scene) turn() {
	s.t.Helper()
	_, err := s.unit.Turn(context.Background())
	require.NoError(s.t, err)
}

func (s *scene) view() view.View {
	s.t.Helper()
	found, err := s.unit.View()
	require.NoError(s.t, err)
	return found
}

func TestWhatIsSeenOfAnAuthority(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, err := s.unit.View()
	require.ErrorContains(t, err, "no turn has come to its end yet")
	s.turn()
	before, found := len(s.model.snap.Relations[1].OwnUnit), s.view()

	require.Equal(t, view.FromAgent, found.Source)
	require.Equal(t, "signet/0 signet test uuid 1.2.3", strings.Join([]string{found.Unit, found.Application, found.Model, found.ModelUUID, found.Version}, " "))
	require.True(t, found.Leader && found.Signing)
	require.Equal(t, view.Condition(s.model.snap.Status), found.Status)
	require.NotEmpty(t, found.Conditions)
	require.Equal(t, "steady", found.Rollover.Phase)

	require.Len(t, found.Authorities, 1)
	authority := found.Authorities[0]
	require.Equal(t, "signing", authority.Role)
	require.True(t, authority.Root)
	require.Equal(t, 4, authority.Issued, "etcd/0's server, etcd/1's client, etcd's shared client, web/0's server")

	states := map[string]view.Certificate{}
	for _, one := range found.Certificates {
		states[one.Application+" "+one.Unit+" "+one.Kind+" "+one.CommonName] = one
		require.Equal(t, view.Issued, one.Role)
	}
	server := states["etcd etcd/0 server etcd-0.example.com"]
	require.Equal(t, view.Valid, server.State, found.Certificates)
	require.Equal(t, "certificates:2", server.Relation)
	require.Equal(t, []string{"etcd-0.example.com", "10.0.0.5"}, server.Names)
	require.Equal(t, 1, server.Generation)
	require.True(t, server.RenewAt.After(s.now) && server.RenewAt.Before(server.NotAfter))
	require.Len(t, server.SHA256, 64)
	require.NotEmpty(t, server.Rule)
	require.Contains(t, states, "etcd  client global-client")
	require.Equal(t, "csr", states["web web/0 server web-0.example.com"].Dialect)

	require.NotContains(t, states, "etcd etcd/1 client system:masters", "nothing is to come of a refusal")

	outcomes := map[string]view.Request{}
	for _, one := range found.Requests {
		outcomes[one.Unit+" "+one.CommonName+one.Item] = one
	}
	require.Equal(t, view.Granted, outcomes["web/0 web-0.example.com"].Outcome)
	require.Len(t, outcomes["web/0 web-0.example.com"].Hash, 64)
	masters := outcomes[`etcd/1 system:mastersclient certificate "system:masters"`]
	require.Equal(t, view.Refused, masters.Outcome, found.Requests)
	require.Equal(t, "identity-not-allowed", masters.Code)
	require.NotEmpty(t, masters.Reason)
	require.NotEmpty(t, masters.Fix)

	require.Equal(t, 4, found.Record.Events["issued"]-1, "and the CA itself")
	require.Positive(t, found.Record.Refusals["identity-not-allowed"])
	require.Equal(t, 3, found.Record.LegacyKeys)
	require.NotEmpty(t, found.Renewals)
	require.Len(t, s.model.snap.Relations[1].OwnUnit, before, "who looks changes nothing")
}

func TestNoSecretIsSeen(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.turn()
	text, err := json.Marshal(s.view())
	require.NoError(t, err)
	require.Contains(t, string(text), "BEGIN CERTIFICATE")
	require.NotContains(t, string(text), "PRIVATE KEY")
	for _, secret := range s.model.snap.Secrets {
		for name, value := range secret.Content {
			if name != "certificate" {
				require.NotContains(t, string(text), strings.TrimSpace(value)[:40], name)
			}
		}
	}
}

func TestAFailedTurnLeavesTheLastOneInSight(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.turn()
	first := s.view()
	s.model.fail = os.ErrDeadlineExceeded
	s.now = s.now.Add(time.Minute)
	_, err := s.unit.Turn(context.Background())
	require.Error(t, err)
	second := s.view()
	require.Contains(t, second.Trouble, "cannot read the model")
	require.Equal(t, first.Certificates, second.Certificates)
	require.Equal(t, first.Turn, second.Turn)

	s.model.fail = nil
	s.turn()
	require.Empty(t, s.view().Trouble)
}

func TestStatesFollowTime(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.turn()
	ends := s.view().Certificates[0].NotAfter
	for at, state := range map[time.Time]view.State{
		s.now.Add(time.Hour): view.Valid, ends.Add(-time.Hour): view.Expiring, ends.Add(time.Second): view.Expired,
	} {
		s.now = at
		require.Equal(t, state, s.view().Certificates[0].State, at)
	}
}

func TestTheDiskTellsWhatWasIssued(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.turn()
	_, err := s.unit.Act(context.Background(), juju.Action{
		Name: "revoke", Params: map[string]any{"name": "web-0.example.com", "reason": "cessationOfOperation"},
	})
	require.NoError(t, err)
	live := s.view()

	findings, err := disk.VerifyJournal(disk.JournalPath(s.root), disk.Evidence{})
	require.NoError(t, err)
	read := view.Of(view.Facts{Now: s.now, Unit: "signet/0", Entries: findings.Recorded})
	require.Equal(t, view.FromDisk, read.Source)
	require.Len(t, read.Authorities, 1)
	require.Equal(t, live.Authorities[0].SHA256, read.Authorities[0].SHA256)
	require.Equal(t, "signing", read.Authorities[0].Role)

	for source, found := range map[string]view.View{"agent": live, "disk": read} {
		states := map[string]view.State{}
		for _, one := range found.Certificates {
			states[one.CommonName+strings.Join(one.Names, "")] = one.State
		}
		require.Equal(t, view.Valid, states["etcd-0.example.cometcd-0.example.com10.0.0.5"], source)
		want := map[string]view.State{"agent": view.Held, "disk": view.Revoked}[source] // only databags tell who still asks
		require.Equal(t, want, states["web-0.example.comweb-0.example.com"], source)
		refused := 0
		for _, one := range found.Requests {
			if one.Outcome == view.Refused && one.Code == "identity-not-allowed" {
				refused++
			}
		}
		require.Equal(t, 1, refused, source)
	}
}

func (s *scene) act(name string, params map[string]any) {
	s.t.Helper()
	outcome, err := s.unit.Act(context.Background(), juju.Action{Name: name, Params: params})
	require.NoError(s.t, err)
	require.Empty(s.t, outcome.Result.Failure)
}

func TestARolloverIsSeenInEachPhase(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.turn()
	roles := func(v view.View) string {
		var all []string
		for _, one := range v.Authorities {
			all = append(all, one.Role)
		}
		return strings.Join(all, " ")
	}
	require.Equal(t, "signing", roles(s.view()))
	s.act("rotate-ca", map[string]any{})
	found := s.view()
	require.Equal(t, "trusting", found.Rollover.Phase)
	require.Equal(t, "signing trusted", roles(found))
	require.Contains(t, found.Rollover.Note, "CA 2 is to be trusted")
	s.act("rotate-ca", map[string]any{"step": "pause"})
	require.True(t, s.view().Rollover.Paused)
	s.act("rotate-ca", map[string]any{"step": "advance"})
	found = s.view()
	require.Equal(t, "replacing", found.Rollover.Phase)
	require.Equal(t, "signing retiring", roles(found))
	require.Equal(t, 2, found.Authorities[0].Generation)
	require.False(t, found.Authorities[1].Until.IsZero())
	events := map[view.Event]bool{}
	for _, one := range found.Renewals {
		events[one.Event] = true
	}
	require.True(t, events[view.Retires] && events[view.CAExpires] && events[view.Renews], found.Renewals)
}

// What another unit decides this one does not know, but what it publishes for it.
func TestAUnitThatDoesNotLeadSeesWhatItPublishes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.turn()
	for i := range s.model.snap.Relations {
		if s.model.snap.Relations[i].Endpoint.Role != juju.Peers {
			s.model.snap.Relations[i].OwnApp = nil // which the leader alone can read
		}
	}
	s.model.snap.Leader = false
	s.turn()
	found := s.view()
	require.False(t, found.Leader || found.Signing)
	states := map[string]view.State{}
	for _, one := range found.Certificates {
		states[one.Unit+" "+one.CommonName] = one.State
	}
	require.Equal(t, view.Valid, states["etcd/0 etcd-0.example.com"])
	require.Equal(t, view.Valid, states[" global-client"])
	require.Equal(t, view.Waiting, states["web/0 web-0.example.com"], "its certificate is in the application's databag")
	require.Len(t, found.Authorities, 1)
}

// A CA that another one shall certify is seen, and the requests wait for it.
func TestRequestsWaitForACA(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.model.snap.Config["authority"] = "intermediate"
	s.turn()
	found := s.view()
	require.Equal(t, "requested", found.Authorities[0].Role)
	waiting := 0
	for _, one := range found.Requests {
		if one.Outcome == view.InWaiting {
			waiting++
		}
	}
	require.Positive(t, waiting)
	require.False(t, found.Signing)
}

// What nobody asks for any more, and stands there still, is shown as such.
func TestWhatNobodyAsksForIsSeen(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.turn()
	delete(s.model.snap.Relations[1].RemoteUnits, "etcd/0")
	s.model.snap.Leader = false // so that nobody withdraws it
	s.turn()
	found := s.view()
	orphans := 0
	for _, one := range found.Certificates {
		if one.Orphaned {
			orphans++
			require.Equal(t, "etcd-0.example.com", one.CommonName)
			require.Equal(t, "etcd/0", one.Unit)
			require.Equal(t, "server", one.Kind)
		}
	}
	require.Equal(t, 1, orphans)
}

// Who looks at a turn in which an operator did something does not do it again.
func TestAnActionIsNotDoneAgainByLooking(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.model.snap.Relations = s.model.snap.Relations[:1] // nobody holds a certificate, so that a second advance would end it all
	s.turn()
	s.act("rotate-ca", map[string]any{})
	s.act("rotate-ca", map[string]any{"step": "advance"})
	require.Len(t, s.view().Authorities, 2)
}

// One agent serves thousands of units; what they ask for is shown within the time that a person waits.
func BenchmarkViewOf1000(b *testing.B) {
	const units = 1000
	s := newScene(b)
	remote := map[string]juju.Bag{}
	for i := range units {
		remote[fmt.Sprintf("web/%d", i)] = requests(b, fmt.Sprintf("web-%d.example.com", i))
	}
	s.model.snap.Relations[2].RemoteUnits = remote
	for range 2 {
		s.turn()
	}
	b.ResetTimer()
	var found view.View
	for b.Loop() {
		found = s.view()
	}
	text, err := json.Marshal(found)
	require.NoError(b, err)
	b.ReportMetric(float64(len(found.Certificates)), "certificates")
	b.ReportMetric(float64(len(text))/(1<<20), "MiB")
}
