// SPDX-License-Identifier: AGPL-3.0-only

package diagnosis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/view"
	"github.com/signet-charm/signet/internal/view/diagnosis"
)

const day = 24 * time.Hour

// noon is when all of it happens.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// kit makes certificates.
type kit struct {
	t   *testing.T
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
}

func newKit(t *testing.T, change ...func(*x509.Certificate)) *kit {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: noon().Add(-10 * day), NotAfter: noon().Add(3640 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, MaxPathLen: -1,
	}
	for _, c := range change {
		c(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	ca, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &kit{t, ca, key}
}

// leaf gives a certificate of 90 days, issued ten days ago, as it is changed.
func (k *kit) leaf(serial int64, public any, change ...func(*x509.Certificate)) *x509.Certificate {
	k.t.Helper()
	if public == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(k.t, err)
		public = key.Public()
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "app"}, DNSNames: []string{"app"}, NotBefore: noon().Add(-10 * day),
		NotAfter: noon().Add(80 * day), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range change {
		c(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, k.ca, public, k.key)
	require.NoError(k.t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(k.t, err)
	return leaf
}

// shown is a certificate as a view has it.
func (k *kit) shown(leaf *x509.Certificate) view.Certificate {
	return view.Certificate{
		Role: view.Issued, State: view.Valid, Relation: "certificates:3", Application: "etcd", Unit: "etcd/0", Kind: "server", Dialect: "legacy",
		CommonName: leaf.Subject.CommonName, Serial: cert.SerialText(leaf.SerialNumber), Issuer: leaf.Issuer.String(), SHA256: string(leaf.Signature),
		Generation: 1, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, RenewAt: noon().Add(50 * day), PEM: cert.Encode(leaf.Raw),
	}
}

// healthy are the facts of a leader in good order, which is also a consumer.
func healthy(k *kit) diagnosis.Facts {
	leaf := k.leaf(7, nil)
	caText := cert.Encode(k.ca.Raw)
	return diagnosis.Facts{
		Now: noon(), Unit: "signet/0", Version: "1.2",
		View: view.View{
			Source: view.FromAgent, At: noon(), Turn: noon().Add(-time.Hour), Unit: "signet/0", Application: "signet", Version: "1.2", Leader: true,
			Signing: true, Status: view.Condition{Level: juju.Active, Message: "1 certificate"}, Rollover: view.Rollover{Phase: "steady", Next: noon().Add(3000 * day)},
			Settings: view.Settings{
				Authority: "embedded", Policy: "kubernetes", Legacy: true, Secrets: true, Listen: "0.0.0.0:8880", Peers: []string{"signet/1"},
				Versions: map[string]string{"signet/1": "1.2"},
			},
			Authorities: []view.Authority{{
				Generation: 1, Role: "signing", Root: true, NotBefore: k.ca.NotBefore, NotAfter: k.ca.NotAfter, PEM: caText,
				CRL: &view.CRL{ThisUpdate: noon().Add(-day), NextUpdate: noon().Add(6 * day), Signed: true},
			}},
			Certificates: []view.Certificate{k.shown(k.leaf(5, nil))},
			Requests:     []view.Request{{ID: "a", Outcome: view.Granted, Application: "etcd", Unit: "etcd/0", CommonName: "app"}},
		},
		Agent:       diagnosis.Agent{Answers: true, Wanted: true, Service: "signet-signet-0", Socket: "/s/agent.sock", Mode: "0600"},
		Folder:      diagnosis.Folder{Root: "/s", Free: 5 << 30, Size: 10 << 30, FreeNodes: 1e6, Nodes: 2e6},
		Certificate: []diagnosis.Laid{{Path: "/s/server.crt", PEM: cert.Encode(leaf.Raw), CA: caText, Key: "fits", Mode: 0o600, Owner: "root:root"}},
		Links:       []diagnosis.Outside{{Path: "/etc/app.crt", Wanted: "/s/server.crt"}},
		Trust:       []diagnosis.Outside{{Path: "/usr/ca.crt", Text: caText}},
		Store:       caText,
		Record: diagnosis.Record{Path: "/s/journal", Last: noon().Add(-time.Hour), Entries: []ledger.Entry{
			{Time: noon().Add(-10 * day), Event: ledger.Authority, Generation: 1, After: "signing"},
			{Time: noon().Add(-time.Hour), Event: ledger.Checkpoint},
		}},
		Backups:     diagnosis.Backups{Number: 1, Newest: noon().Add(-5 * day)},
		Conf:        diagnosis.Conf{Path: "/a/agent.conf", Mode: 0o600},
		Controllers: []diagnosis.Reach{{Address: "10.0.0.1:17070", NotAfter: noon().Add(3000 * day), Dated: true, Ahead: time.Second}},
		Listening:   &diagnosis.Listening{Address: "127.0.0.1:8880", Asked: true},
		FIPS:        diagnosis.FIPS{Mode: "off"},
	}
}

func TestNothingIsWrongWithAHealthyUnit(t *testing.T) {
	t.Parallel()
	found := diagnosis.Examine(healthy(newKit(t)))
	require.GreaterOrEqual(t, len(found), 25)
	for _, one := range found {
		require.Equal(t, diagnosis.OK, one.Severity, "%s: %s", one.ID, one.Finding)
		require.Empty(t, one.Fix, one.ID)
		require.NotEmpty(t, one.Finding, one.ID)
	}
	require.Equal(t, diagnosis.OK, diagnosis.Worst(found))
}

// A unit of which nothing is known is no healthy unit: what only the agent knows is said not to be known.
func TestWhatIsNotKnownIsSaidNotToBe(t *testing.T) {
	t.Parallel()
	unknown := 0
	for _, one := range diagnosis.Examine(diagnosis.Facts{Now: noon(), Unit: "signet/0"}) {
		if one.Severity == diagnosis.Info {
			unknown++
		}
		require.NotEqual(t, diagnosis.Error, one.Severity, one.ID)
	}
	require.Greater(t, unknown, 20)
}

// broken is one thing that is wrong.
type broken struct {
	id       string
	severity diagnosis.Severity
	finding  string // part of it
	fix      string // likewise
	by       func(k *kit, f *diagnosis.Facts)
}

func TestWhatIsWrongIsFoundAndMended(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	seen := map[string]bool{}
	for _, group := range []map[string]broken{brokenMachines(), brokenNetworks(), brokenFiles(), brokenCertificates(), brokenAuthorities(), brokenRequests()} {
		for sentence, c := range group {
			seen[c.id] = true
			t.Run(sentence, func(t *testing.T) {
				t.Parallel()
				facts := healthy(k)
				c.by(k, &facts)
				found := diagnosis.Examine(facts)
				at := slices.IndexFunc(found, func(one diagnosis.Finding) bool { return one.ID == c.id })
				require.GreaterOrEqual(t, at, 0, "there is no check %s", c.id)
				require.Equal(t, c.severity, found[at].Severity, found[at].Finding)
				require.Contains(t, found[at].Finding, c.finding)
				require.Contains(t, found[at].Fix, c.fix)
				if c.severity != diagnosis.Info {
					require.NotEmpty(t, found[at].Fix, "what is wrong can be mended")
				}
			})
		}
	}
	for _, id := range diagnosis.IDs() {
		require.True(t, seen[id], "nothing makes the check %s find anything", id)
	}
}

func TestTheWorstFindingCounts(t *testing.T) {
	t.Parallel()
	of := func(all ...diagnosis.Severity) diagnosis.Severity {
		var found []diagnosis.Finding
		for _, one := range all {
			found = append(found, diagnosis.Finding{Severity: one})
		}
		return diagnosis.Worst(found)
	}
	require.Equal(t, diagnosis.OK, of())
	require.Equal(t, diagnosis.Info, of(diagnosis.OK, diagnosis.Info))
	require.Equal(t, diagnosis.Error, of(diagnosis.Warning, diagnosis.Error, diagnosis.OK))
	require.Equal(t, diagnosis.Warning, of(diagnosis.Warning, diagnosis.Info))
}

func brokenMachines() map[string]broken {
	type facts = diagnosis.Facts
	return map[string]broken{
		"the unit is blocked": {"status", diagnosis.Error, "blocked: lost", "signet status", func(_ *kit, f *facts) {
			f.View.Status = view.Condition{Level: juju.Blocked, Message: "lost"}
		}},
		"the unit waits": {"status", diagnosis.Warning, "waiting", "signet status", func(_ *kit, f *facts) { f.View.Status.Level = juju.Waiting }},
		"the agent is down, which systemd should start": {"agent", diagnosis.Error, "no agent", "run: systemctl restart signet-signet-0", func(_ *kit, f *facts) {
			f.Agent.Answers, f.Agent.Trouble = false, "connection refused"
		}},
		"there is no agent where there is no systemd": {"agent", diagnosis.Warning, "no agent", "signet agent --unit signet/0", func(_ *kit, f *facts) {
			f.Agent.Answers, f.Agent.Wanted = false, false
		}},
		"the agent just began":         {"agent", diagnosis.Warning, "nothing to show", "in a minute", func(_ *kit, f *facts) { f.Agent.Trouble = "no turn yet" }},
		"the agent is of before":       {"agent-version", diagnosis.Warning, "1.1", "run: systemctl restart", func(_ *kit, f *facts) { f.View.Version = "1.1" }},
		"the last turn failed":         {"turn", diagnosis.Error, "boom", "journalctl", func(_ *kit, f *facts) { f.View.Trouble = "boom" }},
		"the agent hangs":              {"turn", diagnosis.Error, "hangs", "run: systemctl restart", func(_ *kit, f *facts) { f.View.Turn = noon().Add(-26 * time.Hour) }},
		"the socket is open":           {"socket-mode", diagnosis.Error, "0666", "run: chmod 0600 /s/agent.sock", func(_ *kit, f *facts) { f.Agent.Mode = "0666" }},
		"agent.conf is open":           {"agent-conf", diagnosis.Error, "0644", "run: chmod 0600 /a/agent.conf", func(_ *kit, f *facts) { f.Conf.Mode = 0o644 }},
		"agent.conf is torn":           {"agent-conf", diagnosis.Error, "incomplete", "restart the unit agent", func(_ *kit, f *facts) { f.Conf.Trouble = "incomplete" }},
		"the state folder is not ours": {"state-modes", diagnosis.Error, "denied", "sudo", func(_ *kit, f *facts) { f.Folder.Trouble = "permission denied" }},
		"a file of the state is open":  {"state-modes", diagnosis.Error, "/s/a b", "run: chmod go-rwx '/s/a b'", func(_ *kit, f *facts) { f.Folder.Loose = []string{"/s/a b"} }},
		"a file is somebody else's":    {"state-owner", diagnosis.Warning, "/s/x", "run: chown", func(_ *kit, f *facts) { f.Folder.Foreign = []string{"/s/x"} }},
		"the disk is full":             {"disk-space", diagnosis.Error, "1 MiB", "make room", func(_ *kit, f *facts) { f.Folder.Free = 1 << 20 }},
		"the disk fills":               {"disk-space", diagnosis.Warning, "50 MiB", "make room", func(_ *kit, f *facts) { f.Folder.Free = 50 << 20 }},
		"there are no inodes":          {"disk-inodes", diagnosis.Error, "3 inodes", "df -i", func(_ *kit, f *facts) { f.Folder.FreeNodes = 3 }},
		"a crash left something": {"leftovers", diagnosis.Warning, "/s/.x.new", "run: rm -f /s/.x.new", func(_ *kit, f *facts) {
			f.Folder.Left = []diagnosis.Left{{Path: "/s/.x.new", Since: noon().Add(-2 * time.Hour)}}
		}},
		"a key was kept for too long": {"leftovers", diagnosis.Warning, "1 private key", "update-status", func(_ *kit, f *facts) {
			f.Folder.Kept = []diagnosis.Left{{Path: "/s/outbox.x", Since: noon().Add(-3 * time.Hour)}}
		}},
		"somebody changed the record":   {"journal", diagnosis.Error, "line 3", "audit verify", func(_ *kit, f *facts) { f.Record.Problems = []string{"line 3 was changed"} }},
		"the record cannot be read":     {"journal", diagnosis.Error, "denied", "sudo", func(_ *kit, f *facts) { f.Record.Trouble = "permission denied" }},
		"nothing vouches for it":        {"checkpoint", diagnosis.Warning, "not vouched for", "juju run signet/leader checkpoint", func(_ *kit, f *facts) { f.Record.Entries = f.Record.Entries[:1] }},
		"the clock was put back":        {"clock-journal", diagnosis.Error, "future", "timedatectl", func(_ *kit, f *facts) { f.Record.Last = noon().Add(time.Hour) }},
		"the clock is a little behind":  {"clock-journal", diagnosis.Warning, "2m0s", "timedatectl", func(_ *kit, f *facts) { f.Record.Last = noon().Add(2 * time.Minute) }},
		"FIPS is asked for and not had": {"fips", diagnosis.Error, "on", "GODEBUG", func(_ *kit, f *facts) { f.FIPS.Asked = "on" }},
		"the machine is in FIPS mode":   {"fips", diagnosis.Warning, "this machine", "GODEBUG=fips140=on", func(_ *kit, f *facts) { f.FIPS.Kernel = true }},
	}
}

func brokenNetworks() map[string]broken {
	type facts = diagnosis.Facts
	served := func(change func(*diagnosis.Served)) func(*kit, *facts) {
		return func(_ *kit, f *facts) {
			one := diagnosis.Served{Address: "127.0.0.1:6443", Path: "/s/server.crt", Expected: "7", Serial: "7", NotAfter: noon().Add(day)}
			change(&one)
			f.Served = append(f.Served, one)
		}
	}
	return map[string]broken{
		"no controller answers": {"controller", diagnosis.Error, "refused", "juju status", func(_ *kit, f *facts) { f.Controllers[0].Trouble = "connection refused" }},
		"one address of two does not answer": {"controller", diagnosis.Warning, "1 of 2", "restart the unit agent", func(_ *kit, f *facts) {
			f.Controllers = append(f.Controllers, diagnosis.Reach{Address: "10.0.0.2:17070", Trouble: "timeout"})
		}},
		"the controller's certificate expired": {"controller-certificate", diagnosis.Error, "expired", "renew", func(_ *kit, f *facts) { f.Controllers[0].NotAfter = noon().Add(-day) }},
		"the controller's certificate ends":    {"controller-certificate", diagnosis.Warning, "expires", "renew", func(_ *kit, f *facts) { f.Controllers[0].NotAfter = noon().Add(day) }},
		"the clock is an hour behind":          {"clock-controller", diagnosis.Error, "1h0m0s behind", "timedatectl", func(_ *kit, f *facts) { f.Controllers[0].Ahead = time.Hour }},
		"the clock is minutes ahead":           {"clock-controller", diagnosis.Warning, "2m0s ahead of", "timedatectl", func(_ *kit, f *facts) { f.Controllers[0].Ahead = -2 * time.Minute }},
		"an old certificate is served":         {"served", diagnosis.Warning, "serves 6", "systemctl restart", served(func(s *diagnosis.Served) { s.Serial = "6" })},
		"an expired certificate is served":     {"served", diagnosis.Error, "expired", "systemctl restart", served(func(s *diagnosis.Served) { s.NotAfter = noon().Add(-day) })},
		"a stranger's certificate is served":   {"served", diagnosis.Error, "unknown authority", "systemctl restart", served(func(s *diagnosis.Served) { s.Unproven = "signed by unknown authority" })},
		"who was to be looked at is not there": {"served", diagnosis.Error, "refused", "systemctl restart", served(func(s *diagnosis.Served) { s.Asked, s.Refused, s.Trouble = true, true, "connection refused" })},
		"nobody listens":                       {"listen", diagnosis.Error, "refused", "juju config signet listen=", func(_ *kit, f *facts) { f.Listening.Trouble = "connection refused" }},
		"what is served is overdue":            {"listen", diagnosis.Error, "overdue", "signet status", func(_ *kit, f *facts) { f.Listening.Health = "overdue" }},
		"the list that is served is another's": {"crl-served", diagnosis.Error, "not signed", "signet status", func(_ *kit, f *facts) { f.Listening.CRL = "it is not signed by the CA in service" }},
		"OCSP does not answer":                 {"ocsp", diagnosis.Error, "try later", "signet status", func(_ *kit, f *facts) { f.Listening.OCSP = "ocsp: try later" }},
	}
}

func brokenFiles() map[string]broken {
	type facts = diagnosis.Facts
	laid := func(k *kit, f *facts, change func(*x509.Certificate)) {
		f.Certificate[0].PEM = cert.Encode(k.leaf(8, nil, change).Raw)
	}
	return map[string]broken{
		"an own certificate expired": {"own-expiry", diagnosis.Error, "expired", "signet status", func(k *kit, f *facts) {
			laid(k, f, func(c *x509.Certificate) { c.NotAfter = noon().Add(-time.Hour) })
		}},
		"an own certificate ends soon": {"own-expiry", diagnosis.Warning, "a tenth", "signet status", func(k *kit, f *facts) {
			laid(k, f, func(c *x509.Certificate) {
				c.NotBefore = noon().Add(-1000 * time.Hour)
				c.NotAfter = noon().Add(time.Hour)
			})
		}},
		"an own certificate is none": {"own-expiry", diagnosis.Error, "is none", "update-status", func(_ *kit, f *facts) { f.Certificate[0].PEM = "x" }},
		"an own renewal did not come": {"own-renewal", diagnosis.Warning, "not renewed", "signet requests", func(k *kit, f *facts) {
			laid(k, f, func(c *x509.Certificate) { c.NotBefore = noon().Add(-75 * day); c.NotAfter = noon().Add(25 * day) })
		}},
		"a stranger signed it": {"own-chain", diagnosis.Error, "/s/server.crt", "update-status", func(k *kit, f *facts) {
			f.Certificate[0].PEM = cert.Encode(newKit(k.t).leaf(8, nil).Raw)
		}},
		"openssl is not content":    {"own-openssl", diagnosis.Warning, "error 20", "openssl verify", func(_ *kit, f *facts) { f.Certificate[0].OpenSSL = "error 20" }},
		"the key is another's":      {"own-key", diagnosis.Error, "another key", "update-status", func(_ *kit, f *facts) { f.Certificate[0].Key = "differs" }},
		"the key is gone":           {"own-key", diagnosis.Error, "no key", "update-status", func(_ *kit, f *facts) { f.Certificate[0].Key = "absent" }},
		"the key is everybody's":    {"key-modes", diagnosis.Error, "/s/server.key", "run: chmod o-rwx /s/server.key", func(_ *kit, f *facts) { f.Certificate[0].Mode = 0o604 }},
		"the key is a group's":      {"key-modes", diagnosis.Info, "0640, root:root", "", func(_ *kit, f *facts) { f.Certificate[0].Mode = 0o640 }},
		"a link is gone":            {"links", diagnosis.Error, "/etc/app.crt: it is gone", "update-status", func(_ *kit, f *facts) { f.Links[0].Trouble = "it is gone" }},
		"a trusted file is changed": {"trust-files", diagnosis.Error, "changed", "update-status", func(_ *kit, f *facts) { f.Trust[0].Trouble = "it was changed" }},
		"the machine does not trust the CA": {"trust-store", diagnosis.Error, "CN=test CA", "run: update-ca-certificates", func(k *kit, f *facts) {
			f.Store = cert.Encode(newKit(k.t).ca.Raw)
		}},
	}
}

func brokenCertificates() map[string]broken {
	type facts = diagnosis.Facts
	one := func(f *facts) *view.Certificate { return &f.View.Certificates[0] }
	small := func(t *testing.T) any {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		require.NoError(t, err)
		return key.Public()
	}
	return map[string]broken{
		"what was issued expired":       {"issued-expiry", diagnosis.Error, "etcd/0 app", "signet requests list", func(_ *kit, f *facts) { one(f).State = view.Expired }},
		"what was issued ends":          {"issued-expiry", diagnosis.Warning, "etcd/0 app", "signet requests list", func(_ *kit, f *facts) { one(f).State = view.Expiring }},
		"a renewal is late":             {"issued-renewal", diagnosis.Warning, "etcd/0 app, due", "renewals-per-hour", func(_ *kit, f *facts) { one(f).RenewAt = noon().Add(-10 * day) }},
		"what was issued does not hold": {"issued-chain", diagnosis.Error, "etcd/0 app", "signet revoke", func(k *kit, f *facts) { one(f).PEM = cert.Encode(newKit(k.t).leaf(5, nil).Raw) }},
		"it is published for nobody":    {"orphans", diagnosis.Warning, "certificates:3 etcd/0 app", "juju status", func(_ *kit, f *facts) { one(f).Orphaned = true }},
		"a key is small":                {"weak-keys", diagnosis.Warning, "RSA of 1024 bits", "rotate-ca", func(k *kit, f *facts) { one(f).PEM = cert.Encode(k.leaf(5, small(k.t)).Raw) }},
		"a CA's key is small": {"weak-keys", diagnosis.Error, "CA 1: RSA of 1024 bits", "rotate-ca", func(k *kit, f *facts) {
			f.View.Authorities[0].PEM = cert.Encode(k.leaf(5, small(k.t)).Raw)
		}},
		"a signature is by SHA-1": {"weak-signatures", diagnosis.Error, "ECDSA-SHA1", "again", func(_ *kit, f *facts) { one(f).PEM = sha1Signed }},
		"a serial number stands for two": {"duplicate-serials", diagnosis.Error, "5 of etcd/0 app and web/0 app", "signet revoke", func(k *kit, f *facts) {
			other := k.shown(k.leaf(5, nil))
			other.Unit = "web/0"
			f.View.Certificates = append(f.View.Certificates, other)
		}},
		"private keys lie in the database": {"legacy-keys", diagnosis.Info, "2 private keys lie in the controller's database, because etcd", "", func(_ *kit, f *facts) { f.View.Record.LegacyKeys = 2 }},
		"they should be gone": {"legacy-keys", diagnosis.Warning, "1 private key lies", "signet status", func(_ *kit, f *facts) {
			f.View.Record.LegacyKeys, f.View.Settings.Legacy = 1, false
		}},
	}
}

func brokenAuthorities() map[string]broken {
	type facts = diagnosis.Facts
	ca := func(f *facts) *view.Authority { return &f.View.Authorities[0] }
	rolling := func(phase, role string, since time.Time) func(*kit, *facts) {
		return func(_ *kit, f *facts) {
			f.View.Rollover.Phase, f.View.Rollover.Note = phase, "rollover: CA 2"
			f.View.Authorities = append(f.View.Authorities, view.Authority{Generation: 2, Role: role})
			f.Record.Entries = append(f.Record.Entries, ledger.Entry{Time: since, Event: ledger.Authority, Generation: 2, After: role})
		}
	}
	shape := func(change func(*x509.Certificate)) func(*kit, *facts) {
		return func(k *kit, f *facts) { ca(f).PEM = cert.Encode(newKit(k.t, change).ca.Raw) }
	}
	return map[string]broken{
		"the CA expired": {"ca-expiry", diagnosis.Error, "expired", "rotate-ca", func(_ *kit, f *facts) { ca(f).NotAfter = noon().Add(-day) }},
		"the CA expires": {"ca-expiry", diagnosis.Error, "expires", "rotate-ca", func(_ *kit, f *facts) {
			ca(f).NotBefore = noon().Add(-3000 * day)
			ca(f).NotAfter = noon().Add(10 * day)
		}},
		"no next CA comes": {"ca-expiry", diagnosis.Warning, "no rollover", "rotate-ca", func(_ *kit, f *facts) {
			ca(f).NotBefore = noon().Add(-3000 * day)
			ca(f).NotAfter = noon().Add(80 * day)
		}},
		"the CA is none":             {"ca-shape", diagnosis.Error, "no CA's", "rotate-ca", shape(func(c *x509.Certificate) { c.IsCA = false })},
		"the CA may not sign":        {"ca-shape", diagnosis.Error, "may not sign", "rotate-ca", shape(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })},
		"the CA is for clients only": {"ca-shape", diagnosis.Error, "without serverAuth", "rotate-ca", shape(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })},
		"the CA's root is not known": {"ca-shape", diagnosis.Error, "its root is not known", "get-csr", func(k *kit, f *facts) { ca(f).PEM = cert.Encode(k.below().Raw) }},
		"the root allows no CA below it": {"ca-shape", diagnosis.Error, "allows 0 CAs", "get-csr", func(k *kit, f *facts) {
			root := newKit(k.t, func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
			ca(f).PEM, ca(f).Chain = cert.Encode(root.below().Raw), []string{cert.Encode(root.ca.Raw)}
		}},
		"the rollover is paused":       {"rollover", diagnosis.Warning, "paused", "step=resume", func(_ *kit, f *facts) { f.View.Rollover.Paused = true }},
		"nobody certifies the next CA": {"rollover", diagnosis.Warning, "waits to be certified", "upload-signed-csr", rolling("certifying", "requested", noon().Add(-3*day))},
		"the next CA is not trusted":   {"rollover", diagnosis.Warning, "stuck", "step=advance", rolling("trusting", "trusted", noon().Add(-20*day))},
		"a rollover goes its way":      {"rollover", diagnosis.Info, "CA 2", "", rolling("trusting", "trusted", noon().Add(-2*time.Hour))},
		"an old CA does not go": {"rollover", diagnosis.Warning, "withdrawn", "step=advance", func(_ *kit, f *facts) {
			f.View.Authorities = append(f.View.Authorities, view.Authority{Generation: 0, Role: "retiring", Until: noon().Add(-3 * day)})
		}},
		"the revocation list is overdue":   {"crl", diagnosis.Error, "overdue since", "update-status", func(_ *kit, f *facts) { ca(f).CRL.NextUpdate = noon().Add(-time.Hour) }},
		"the revocation list is another's": {"crl", diagnosis.Error, "not signed", "update-status", func(_ *kit, f *facts) { ca(f).CRL.Signed = false }},
		"the revocation list is old": {"crl", diagnosis.Warning, "overdue in", "update-status", func(_ *kit, f *facts) {
			ca(f).CRL.ThisUpdate = noon().Add(-6 * day)
			ca(f).CRL.NextUpdate = noon().Add(day)
		}},
		"there is no revocation list": {"crl", diagnosis.Warning, "no list", "update-status", func(_ *kit, f *facts) { ca(f).CRL, ca(f).Revoked = nil, 2 }},
		"there is no backup":          {"backup", diagnosis.Warning, "no backup", "leader backup", func(_ *kit, f *facts) { f.Backups = diagnosis.Backups{} }},
		"the last backup is old":      {"backup", diagnosis.Warning, "the last backup", "leader backup", func(_ *kit, f *facts) { f.Backups.Newest = noon().Add(-40 * day) }},
		"backups cannot be listed":    {"backup", diagnosis.Warning, "denied", "leader backup", func(_ *kit, f *facts) { f.Backups.Trouble = "permission denied" }},
	}
}

// below is a CA below the kit's.
func (k *kit) below() *x509.Certificate {
	return k.leaf(9, nil, func(c *x509.Certificate) {
		c.Subject.CommonName, c.ExtKeyUsage, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = "below", nil, true, true, x509.KeyUsageCertSign
	})
}

func brokenRequests() map[string]broken {
	type facts = diagnosis.Facts
	request := func(f *facts) *view.Request { return &f.View.Requests[0] }
	return map[string]broken{
		"a request is refused": {"refused", diagnosis.Warning, "etcd/0 app: not allowed (identity-not-allowed)", "run: juju config", func(_ *kit, f *facts) {
			*request(f) = view.Request{Outcome: view.Refused, Unit: "etcd/0", CommonName: "app", Reason: "not allowed", Code: "identity-not-allowed", Fix: "juju config signet policy=open"}
		}},
		"something was refused": {"refusals", diagnosis.Info, "1 refusal within the last day: 1 weak-key", "", func(_ *kit, f *facts) {
			f.Record.Entries = append(f.Record.Entries, ledger.Entry{Time: noon().Add(-time.Hour), Event: ledger.Denied, Code: "weak-key"}, ledger.Entry{Time: noon().Add(-2 * day), Event: ledger.Denied, Code: "old"})
		}},
		"a request waits": {"outstanding", diagnosis.Info, "1 request waits", "", func(_ *kit, f *facts) {
			request(f).Outcome, request(f).Since = view.Outstanding, noon().Add(-time.Hour)
		}},
		"a request waits for long": {"outstanding", diagnosis.Warning, "for more than a day", "signet requests list", func(_ *kit, f *facts) {
			request(f).Outcome, request(f).Since = view.InWaiting, noon().Add(-2*day)
		}},
		"the same is asked for in circles": {"circles", diagnosis.Warning, "web/0", "audit tail", func(_ *kit, f *facts) {
			for i := range 4 {
				serial := string(rune('a' + i))
				at := noon().Add(-time.Duration(40-i) * time.Minute)
				f.Record.Entries = append(f.Record.Entries, ledger.Entry{Time: at, Event: ledger.Reserved, Order: serial, Serial: serial},
					ledger.Entry{Time: at, Event: ledger.Issued, Order: serial, Serial: serial, For: "x", Unit: "web/0", Names: []string{"a"}})
			}
		}},
		"everybody gets everything": {"policy", diagnosis.Warning, "policy=open", "run: juju config signet policy=kubernetes", func(_ *kit, f *facts) { f.View.Settings.Policy = "open" }},
		"the policy only reports":   {"policy", diagnosis.Warning, "only reports", "policy-report-only=false", func(_ *kit, f *facts) { f.View.Settings.ReportOnly = true }},
		"an option means nothing":   {"config", diagnosis.Error, "forever", "juju config signet", func(_ *kit, f *facts) { f.View.Options = []string{"config ca-validity: forever"} }},
		"units share nothing":       {"seal", diagnosis.Warning, "only one can sign", "Juju 3", func(_ *kit, f *facts) { f.View.Settings.Secrets = false }},
		"another unit is of before": {"versions", diagnosis.Warning, "signet/1 1.1", "juju status", func(_ *kit, f *facts) { f.View.Settings.Versions["signet/1"] = "1.1" }},
	}
}

// sha1Signed is a certificate that openssl made: Go signs with no SHA-1.
const sha1Signed = `-----BEGIN CERTIFICATE-----
MIIBBjCBrgIBBTAJBgcqhkjOPQQBMBExDzANBgNVBAMMBnNoYTFjYTAgFw0yNjEx
MjYxMTM0MzNaGA8yMTI2MTEwMjExMzQzM1owDjEMMAoGA1UEAwwDYXBwMFkwEwYH
KoZIzj0CAQYIKoZIzj0DAQcDQgAE2KnorbXzcwUbp8XAKzjslte46Hgzs1AGGUt5
+HgjjulqvJH+QtH33gB4P8EoI90oucqJ8uMMLl6z9a7gKwyWPTAJBgcqhkjOPQQB
A0gAMEUCIQCnTkc0hK0BhKPXkNoVnjXpHaoGqddxQ2gGRyHy0NFhogIgB0VgcKzP
xkmKKPlOhpglpIx53ZEl6VazSmoyyUrYfR8=
-----END CERTIFICATE-----
`
