// SPDX-License-Identifier: AGPL-3.0-only

package agent_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/juju/loggo" //nolint:depguard // what Juju itself logs with, to quiet it
	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/controller"
	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/host"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/sandbox"
)

func TestMain(m *testing.M) {
	// Connections are cut on purpose here; Juju's own complaints about it would hide what matters.
	loggo.GetLogger("juju").SetLogLevel(loggo.CRITICAL)
	os.Exit(m.Run())
}

// patience is how long a test waits for what must come; it is never waited for in vain where all is well. Where a fault is
// waited out, time is virtual.
const patience = time.Hour

// whole is an embedded Juju with two units of signet, whose agents run in this process, an application that asks in the
// legacy dialect and one that sends requests. Their databags are the test's to write.
type whole struct {
	t     *testing.T
	juju  *sandbox.Controller
	model *sandbox.Model
	etcd  int // the relations
	web   int
	peers int
	dir   string
	log   *agentLog

	network *sandbox.Network // nil for sockets
	random  *rand.Rand       // of the agents' connections
}

func newWhole(t *testing.T, network *sandbox.Network) *whole {
	t.Helper()
	dir, err := os.MkdirTemp("", "signet-") //nolint:usetesting // paths of sockets are short, and the test's folder is deep
	require.NoError(t, err)
	control, err := sandbox.Start(sandbox.Options{Dir: filepath.Join(dir, "juju"), Network: network})
	require.NoError(t, err)
	w := &whole{
		t: t, juju: control, model: control.Model(), dir: dir, log: &agentLog{}, network: network, random: seeded(t),
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", w.log)
		}
		require.NoError(t, control.Close())
		require.NoError(t, os.RemoveAll(dir))
	})
	requires := sandbox.CharmMeta{Endpoints: []juju.Endpoint{{Name: "tls", Interface: dialect.Interface, Role: juju.Requires}}}
	require.NoError(t, w.model.Deploy("signet", sandbox.CharmMeta{
		Endpoints: endpoints(),
		Config:    map[string]any{"ca-trust-wait": "24h", "renewals-per-hour": nil},
		Types:     map[string]string{"renewals-per-hour": "int"},
	}))
	require.NoError(t, w.model.Deploy("etcd", requires))
	require.NoError(t, w.model.Deploy("web", requires))
	for _, app := range []string{"signet", "signet", "etcd", "web"} {
		_, err := w.model.AddUnit(app)
		require.NoError(t, err)
	}
	w.etcd, err = w.model.Integrate("signet:certificates", "etcd:tls")
	require.NoError(t, err)
	w.web, err = w.model.Integrate("signet:certificates", "web:tls")
	require.NoError(t, err)
	for _, relation := range w.model.Relations("signet") {
		if relation.Endpoint.Role == juju.Peers {
			w.peers = relation.ID
		}
	}
	return w
}

func endpoints() []juju.Endpoint {
	return []juju.Endpoint{
		{Name: "certificates", Interface: dialect.Interface, Role: juju.Provides},
		{Name: "peers", Interface: "signet-peers", Role: juju.Peers},
	}
}

// agentLog keeps what agents log.
type agentLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *agentLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *agentLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (w *whole) logger(unit string) *slog.Logger {
	return slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("unit", unit)
}

// seeded gives random numbers that SIGNET_SEED gives again.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SIGNET_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("SIGNET_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// connect starts a unit's connection.
func (w *whole) connect(unit string) *controller.Conn {
	w.t.Helper()
	config := controller.Config{
		AgentConf: w.juju.AgentConf(unit), Unit: unit, Endpoints: endpoints(), Log: w.logger(unit),
		Random: rand.New(rand.NewPCG(w.random.Uint64(), 0)).Int64N,
	}
	if w.network != nil {
		config.Dial = w.network.Dial
	}
	conn := controller.Start(config)
	w.t.Cleanup(conn.Close)
	<-conn.Tried()
	return conn
}

// unit is one of signet's, whose state folder is the same each time.
func (w *whole) unit(name string, session agent.Session) *agent.Unit {
	w.t.Helper()
	folder, err := disk.Open(filepath.Join(w.dir, strings.ReplaceAll(name, "/", "-")), disk.OnMachine(w.dir))
	require.NoError(w.t, err)
	return &agent.Unit{
		Session:   session,
		Authority: ca.New(ca.Config{Store: folder.Secrets(), Journal: folder.Journal()}),
		Folder:    folder,
		Machine:   host.New(host.Config{Records: folder.Ran(), Root: w.dir}),
		Now:       time.Now,
		Log:       w.logger(name),
	}
}

// serve runs a unit's agent until the test ends or stop is called.
func (w *whole) serve(name string) (stop func()) {
	w.t.Helper()
	conn := w.connect(name)
	service := &agent.Service{Unit: w.unit(name, conn), Changes: conn.Watch(), Hooks: newPipes()}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(w.t, <-ended)
		conn.Close()
	})
	w.t.Cleanup(stop)
	return stop
}

// issued are the certificates that a unit's journal says were issued for who asks so.
func (w *whole) issued(unit, who string) (found []ledger.Entry) {
	w.t.Helper()
	folder, err := disk.Open(filepath.Join(w.dir, strings.ReplaceAll(unit, "/", "-")), disk.OnMachine(w.dir))
	require.NoError(w.t, err)
	require.NoError(w.t, folder.Journal().View(func(l *ledger.Ledger) {
		for _, entry := range l.Entries() {
			if entry.Event == ledger.Issued && strings.Contains(entry.For, who) {
				found = append(found, entry)
			}
		}
	}))
	return found
}

// askName has etcd/0 ask for a certificate for its names in the legacy dialect.
func (w *whole) askName(names ...string) {
	w.t.Helper()
	sans, err := json.Marshal(names)
	require.NoError(w.t, err)
	w.write("etcd/0", w.etcd, map[string]string{"unit_name": "etcd_0", "common_name": names[0], "sans": string(sans)})
}

// askRequest has web/0 send one more request, which it gives.
func (w *whole) askRequest() string {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	require.NoError(w.t, err)
	der, err := x509.CreateCertificateRequest(cryptorand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "web"}, DNSNames: []string{"web.example.com"},
	}, key)
	require.NoError(w.t, err)
	request := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))
	var all []map[string]any
	if text := w.model.UnitBag(w.web, "web/0")["certificate_signing_requests"]; text != "" {
		require.NoError(w.t, json.Unmarshal([]byte(text), &all))
	}
	text, err := json.Marshal(append(all, map[string]any{"certificate_signing_request": request, "ca": false}))
	require.NoError(w.t, err)
	w.write("web/0", w.web, map[string]string{"certificate_signing_requests": string(text)})
	return request
}

func (w *whole) write(unit string, relation int, bag map[string]string) {
	w.t.Helper()
	require.NoError(w.t, w.model.Commit(unit, sandbox.Commit{Relations: []sandbox.BagChange{{RelationID: relation, Unit: bag}}}))
}

// named is what signet's units publish to etcd/0; empty until all of them publish the same.
func (w *whole) named() string {
	found := w.model.UnitBag(w.etcd, "signet/0")["etcd_0.server.cert"]
	for _, unit := range w.model.Units("signet") {
		if w.model.UnitBag(w.etcd, unit)["etcd_0.server.cert"] != found {
			return ""
		}
	}
	return found
}

// requested is the certificate that is published for a request; empty for none.
func (w *whole) requested(request string) string {
	var all []struct {
		Request     string `json:"certificate_signing_request"`
		Certificate string
	}
	_ = json.Unmarshal([]byte(w.model.AppBag(w.web, "signet")["certificates"]), &all) // nothing is published yet
	for _, one := range all {
		if one.Request == request {
			return one.Certificate
		}
	}
	return ""
}

// authority is the record of the CAs, as it stands in the peer databag.
func (w *whole) authority() string { return w.model.AppBag(w.peers, "signet")["authority"] }

// await waits until the model is as wanted.
func (w *whole) await(wanted func() bool, why string, args ...any) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		changed := w.model.Changed()
		if wanted() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			require.FailNowf(w.t, "in vain", why, args...)
		}
	}
}

// covers reports whether a certificate is for all the names.
func covers(text string, names ...string) bool {
	leaf, err := cert.Parse(text)
	if err != nil {
		return false
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// everything is all that signet has written into the model, for comparison.
func (w *whole) everything() string {
	w.t.Helper()
	var all []any
	for _, relation := range w.model.Relations("signet") {
		all = append(all, relation.ID, w.model.AppBag(relation.ID, "signet"))
		for _, unit := range w.model.Units("signet") {
			all = append(all, unit, w.model.UnitBag(relation.ID, unit))
		}
	}
	for _, secret := range w.model.Secrets("signet") {
		all = append(all, secret.Label, secret.URI, secret.Latest)
	}
	text, err := json.Marshal(all)
	require.NoError(w.t, err)
	return string(text)
}
