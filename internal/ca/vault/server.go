// SPDX-License-Identifier: AGPL-3.0-only

package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/signet-charm/signet/internal/order"
)

// How long a server that failed is left alone: twice as long each time, up to a limit.
const (
	firstWait = 2 * time.Second
	maxWait   = 5 * time.Minute
)

// The length in bytes of the longest answer that is read.
const (
	maxReply = 1 << 20
	maxList  = 64 << 20 // of a revocation list, or all serial numbers of a mount: a million of them have less
)

// server is one Vault, at one or more addresses, under one login.
type server struct {
	at     order.Vault // its place is of no account here
	config Config
	pool   *http.Transport
	nodes  []node

	mu       sync.Mutex
	good     int // the node that answered last
	token    string
	until    time.Time // when the token ends; zero for never, or not known
	renewAt  time.Time // when to keep it alive; zero for never
	closed   time.Time // before this nobody is asked
	failures int       // in a row
	why      *order.Failure
	issuers  *bool              // mounts have several CAs; nil while that is not known
	lists    map[string]fetched // by the CA's path

	login sync.Mutex // one at a time

	found strays
}

// node is one address of a server.
type node struct {
	address string
	client  *api.Client // under the login
	bare    *api.Client // without one
}

// newServer makes a server. What the environment says of Vaults is for an operator's shell and is not taken from there.
func newServer(at order.Vault, config Config) (*server, error) {
	if at.Unavailable != "" {
		return nil, order.Fail("vault-config", "%s", at.Unavailable)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if at.CA != "" {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM([]byte(at.CA)) {
			return nil, order.Fail("vault-config", "vault-ca holds no certificate: give PEM")
		}
	}
	pool := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: config.Timeout, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
	}
	made := &server{at: at, config: config, pool: pool, found: strays{read: map[string]bool{}}, lists: map[string]fetched{}}
	for _, address := range at.Addresses {
		if parsed, err := url.Parse(address); err != nil || parsed.Scheme != "https" || parsed.Host == "" {
			return nil, order.Fail("vault-config", "%q is no https URL: see vault-address", address)
		}
		client, err := made.client(address)
		if err != nil {
			return nil, err
		}
		bare, err := made.client(address)
		if err != nil {
			return nil, err
		}
		made.nodes = append(made.nodes, node{address, client, bare})
	}
	if len(made.nodes) == 0 {
		return nil, order.Fail("vault-config", "the address of Vault is missing: set vault-address")
	}
	return made, nil
}

// client makes a client without a login. How long a call may take is up to the call: a client's own limit would end with the
// answer's head, and its body be lost.
func (s *server) client(address string) (*api.Client, error) {
	client, err := api.NewClient(&api.Config{
		Address: address, MaxRetries: 0,
		HttpClient: &http.Client{
			Transport:     s.pool,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	})
	if err != nil { // which may quote the environment
		return nil, order.Fail("vault-config", "cannot make a client of Vault at %s: see vault-address", address)
	}
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	client.ClearToken()
	client.ClearNamespace()
	if s.at.Namespace != "" {
		client.SetNamespace(s.at.Namespace)
	}
	return client, nil
}

func (s *server) close() { s.pool.CloseIdleConnections() }

// write calls a path with a body; get reads one.
func (s *server) write(ctx context.Context, at string, body map[string]any) (*api.Secret, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return s.do(ctx, at, func(ctx context.Context, client *api.Client) (*api.Response, error) {
		return client.Logical().WriteRawWithContext(ctx, at, text)
	})
}

func (s *server) get(ctx context.Context, at string) (*api.Secret, error) {
	return s.do(ctx, at, func(ctx context.Context, client *api.Client) (*api.Response, error) {
		return client.Logical().ReadRawWithContext(ctx, at)
	})
}

func (s *server) list(ctx context.Context, at string) (*api.Secret, error) {
	return s.do(ctx, at, func(ctx context.Context, client *api.Client) (*api.Response, error) {
		return client.Logical().ReadRawWithDataWithContext(ctx, at, map[string][]string{"list": {"true"}})
	})
}

type call func(context.Context, *api.Client) (*api.Response, error)

// do makes one call with a login, on the first node that serves. A login that has ended is renewed once. After a failure
// of all nodes nobody is asked for a while; what was asked meanwhile has the same answer.
func (s *server) do(ctx context.Context, at string, call call) (*api.Secret, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	began := s.start()
	var worst *trouble
	for i := range s.nodes {
		number := (began + i) % len(s.nodes)
		secret, bad := s.on(ctx, s.nodes[number], at, call)
		if bad == nil {
			s.served(number)
			return secret, nil
		}
		// One that answers tells more than one that is not reached, and what may be carried out is not asked for again.
		if worst == nil || !bad.elsewhere || worst.Code == "vault-unreachable" {
			worst = bad
		}
		if bad.elsewhere {
			continue
		}
		if !bad.closes && bad.status != 0 {
			s.served(number)
		}
		break
	}
	if worst.closes {
		s.shut(worst.Failure)
	}
	return nil, worst
}

// open reports why nobody is asked now.
func (s *server) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil && s.config.Now().Before(s.closed) {
		return s.why
	}
	return nil
}

func (s *server) start() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.good
}

func (s *server) served(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.good, s.failures, s.why, s.closed = number, 0, nil, time.Time{}
}

// shut leaves the server alone for a while, which differs between units that saw it fail together.
func (s *server) shut(why *order.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	if s.why != nil && now.Before(s.closed) { // another call that was under way has noted it
		return
	}
	wait := min(firstWait<<min(s.failures, 16), maxWait)
	s.failures++
	s.why, s.closed = why, now.Add(s.config.Jitter(wait))
}

// on makes a call on one node.
func (s *server) on(ctx context.Context, node node, at string, call call) (*api.Secret, *trouble) {
	token, bad := s.loggedIn(ctx, node, "")
	if bad != nil {
		return nil, bad
	}
	secret, bad := s.send(ctx, node, at, call)
	if bad == nil || !bad.token {
		return secret, bad
	}
	if again, worse := s.loggedIn(ctx, node, token); worse != nil {
		return nil, worse
	} else if again == token {
		return nil, bad
	}
	return s.send(ctx, node, at, call)
}

// send makes a call and reads what comes back.
func (s *server) send(ctx context.Context, node node, at string, call call) (*api.Secret, *trouble) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	response, err := call(ctx, node.client)
	if response != nil {
		defer func() { _ = response.Body.Close() }()
	}
	if err != nil {
		bad := read(node.address, at, err)
		bad.Message = s.hush(bad.Message)
		return nil, bad
	}
	if response.StatusCode == http.StatusNoContent {
		return &api.Secret{}, nil
	}
	limit := int64(maxReply)
	if strings.HasSuffix(at, "/certs") || strings.HasSuffix(at, "/crl") {
		limit = maxList
	}
	secret, err := api.ParseSecret(io.LimitReader(response.Body, limit))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, read(node.address, at, ctx.Err())
	case err != nil || secret == nil:
		bad := failed("vault-error", "Vault at %s answers %s with what is no answer of Vault's: see vault-address", node.address, at)
		bad.unanswered = true
		return nil, bad
	}
	return secret, nil
}

// hush takes credentials out of Vault's own words, which are not expected to have any.
func (s *server) hush(words string) string {
	s.mu.Lock()
	secrets := []string{s.token, s.at.Token.Reveal(), s.at.SecretID.Reveal(), s.at.RoleID.Reveal()}
	s.mu.Unlock()
	for _, secret := range secrets {
		if secret != "" {
			words = strings.ReplaceAll(words, secret, "…")
		}
	}
	return words
}

// text gives a member of an answer; empty where there is none.
func text(secret *api.Secret, member string) string {
	if secret == nil {
		return ""
	}
	value, _ := secret.Data[member].(string)
	return strings.TrimSpace(value)
}

// texts gives a list of an answer.
func texts(secret *api.Secret, member string) []string {
	var found []string
	if secret == nil {
		return nil
	}
	list, _ := secret.Data[member].([]any)
	for _, value := range list {
		if one, ok := value.(string); ok {
			found = append(found, one)
		}
	}
	return found
}

// refusedBy reports whether Vault answered that it does not do what it was asked.
func refusedBy(err error) bool {
	var bad *trouble
	return errors.As(err, &bad) && (bad.Code == "vault-refused" || bad.Code == "vault-mount")
}
