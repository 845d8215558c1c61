// SPDX-License-Identifier: AGPL-3.0-only

package vaulttest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Age says which Vault a Fake is like.
type Age int

// The ages of Vault. Between them, in 1.11, a mount came to have several CAs.
const (
	Old Age = iota // 1.1.2: a mount has one CA
	New            // 1.21: a mount has issuers
)

func (a Age) String() string { return [...]string{"old", "new"}[a] }

// A Fake is a Vault in the test's own process: the PKI engine, AppRole, tokens and wrapping, as far as TestFacts holds them
// to the real one. What the operator (the root token) calls is neither counted nor does it fail on purpose. This file has
// the server and its faults, fake_core.go who may call what, fake_login.go logins, tokens and wrapping, fake_pki.go the
// engine and its CAs, fake_read.go and fake_revoke.go what it tells and takes back, fake_sign.go and fake_authority.go what it
// makes.
type Fake struct {
	operator

	age   Age
	ended chan struct{} // closed with the test

	mu      sync.Mutex
	now     func() time.Time
	fail    func(method, path string) Fault
	calls   []string
	sealed  bool
	engines map[string]*engine
	logins  map[string]map[string]*appRole // by mount and name
	rules   map[string][]rule              // by policy
	tokens  map[string]*token
	wrapped map[string]*wrapping
	life    time.Duration // of tokens
	minted  []string      // all tokens, secret-ids and wrapping tokens that there ever were
}

// NewFake starts one, which is unsealed and has nothing mounted. It ends with the test.
func NewFake(t testing.TB, age Age) *Fake {
	t.Helper()
	ca, certificate, key := makeCertificate(t)
	f := &Fake{
		operator: newOperator(t, ca), age: age, ended: make(chan struct{}), now: time.Now,
		engines: map[string]*engine{}, logins: map[string]map[string]*appRole{}, rules: map[string][]rule{}, tokens: map[string]*token{},
		wrapped: map[string]*wrapping{}, life: monthLong,
	}
	var err error
	f.rules["default"], err = parsePolicy(defaultPolicy)
	require.NoError(t, err)
	f.token = f.newToken([]string{"root"}, 0).id
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(f)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // strangers that trust another CA are part of tests
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connection{}, conn)
	}
	server.StartTLS()
	f.address = server.URL
	t.Cleanup(func() {
		close(f.ended)
		f.network.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
	})
	return f
}

// connection is where a request's context has its connection.
type connection struct{}

// A Fault is what goes wrong with one call. The zero value is nothing. One that hangs goes on with the rest of the fault,
// and with nothing else in it with the call, when it is released; who gives up before that has asked for nothing.
type Fault struct {
	Carried bool // the call is carried out first, and the fault is all that is seen of it

	Hang    <-chan struct{} // released by closing it
	Status  int             // answered with Body, as it is
	Body    string
	Close   bool // the connection ends without an answer
	Garbage bool // a page of somebody else's is the answer
	Endless bool // the answer never ends
}

// Fail has calls fail as a function says, which is asked at each with "PUT", "GET", "LIST" or "DELETE" and its path
// ("pki/sign-verbatim/signet"). It may be called by several at once. Nil ends it.
func (f *Fake) Fail(fail func(method, path string) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// Minted are all tokens, secret-ids and wrapping tokens that there ever were: nobody but their owners may see them.
func (f *Fake) Minted() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.minted)
}

// SetNow sets the clock, by which certificates and tokens begin and end.
func (f *Fake) SetNow(now func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = now
}

// Seal has all be refused until it is unsealed.
func (f *Fake) Seal() { f.seal(true) }

// Unseal ends that.
func (f *Fake) Unseal() { f.seal(false) }

func (f *Fake) seal(sealed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sealed = sealed
}

// Calls are all calls that were made, those that failed too: "PUT pki/sign-verbatim/signet". What was in them is not kept:
// they hold credentials.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// A call is one request, read.
type call struct {
	method string // PUT, GET, LIST or DELETE
	path   string
	token  string
	wrap   string // how long the answer is kept wrapped; empty for not
	body   map[string]any
}

// maxBody is the length of the longest request in bytes.
const maxBody = 32 << 20

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := call{method: r.Method, path: strings.TrimPrefix(r.URL.Path, "/v1/"), token: r.Header.Get("X-Vault-Token"), wrap: r.Header.Get("X-Vault-Wrap-Ttl")}
	switch {
	case asked.method == http.MethodPost:
		asked.method = http.MethodPut
	case asked.method == http.MethodGet && r.URL.Query().Get("list") == "true":
		asked.method = "LIST"
	}
	fault := f.note(asked)
	if !fault.Carried && f.broke(w, r, fault) {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, &asked.body)
	}
	if err != nil {
		refuse(http.StatusBadRequest, "failed to parse JSON input: "+err.Error()).write(w)
		return
	}
	done := f.carry(&asked)
	if fault.Carried && f.broke(w, r, fault) {
		return
	}
	done.write(w)
}

// note counts a call, and gives what is to go wrong with it.
func (f *Fake) note(asked call) Fault {
	f.mu.Lock()
	fail := f.fail
	operators := asked.token == f.operator.token
	if !operators {
		f.calls = append(f.calls, asked.method+" "+asked.path)
	}
	f.mu.Unlock()
	if operators || fail == nil {
		return Fault{}
	}
	return fail(asked.method, asked.path)
}

// broke has a call go wrong, and reports whether that was all of it.
func (f *Fake) broke(w http.ResponseWriter, r *http.Request, fault Fault) bool {
	if fault.Hang != nil {
		select {
		case <-fault.Hang:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-f.ended:
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case fault.Status != 0:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, fault.Body)
	case fault.Garbage:
		_, _ = io.WriteString(w, "<html><body>Welcome to the proxy</body></html>")
	case fault.Endless:
		f.flood(w, r)
	case fault.Close:
		if conn, ok := r.Context().Value(connection{}).(*tls.Conn); ok {
			_ = conn.NetConn().Close()
		}
		panic(http.ErrAbortHandler)
	default:
		return false
	}
	return true
}

// flood answers until nobody reads it any more.
func (f *Fake) flood(w http.ResponseWriter, r *http.Request) {
	much := strings.Repeat("A", 1<<16)
	_, err := io.WriteString(w, `{"data":{"certificate":"`)
	for err == nil && r.Context().Err() == nil {
		select {
		case <-f.ended:
			return
		default:
			_, err = io.WriteString(w, much)
		}
	}
}
