// SPDX-License-Identifier: AGPL-3.0-only

package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/order"
)

// trouble is a call that failed, read: what it means, and what may be tried.
type trouble struct {
	*order.Failure

	elsewhere  bool // another address may serve
	unanswered bool // the call may have been carried out
	closes     bool // the whole server fails: it is left alone for a while
	token      bool // the login may have ended
	status     int  // that Vault answered with; 0 where it did not answer
}

func (t *trouble) Error() string { return t.Message }

// Unwrap tells who asks with errors.As what to report, and with errors.Is whether it may have been carried out.
func (t *trouble) Unwrap() []error {
	if t.unanswered {
		return []error{t.Failure, ca.ErrUnanswered}
	}
	return []error{t.Failure}
}

func failed(code, format string, args ...any) *trouble {
	return &trouble{Failure: &order.Failure{Code: code, Message: fmt.Sprintf(format, args...)}}
}

// read says what the error of one call means. Vault's own words are kept where they say which part of a request it did not
// like; an address is the operator's own.
func read(address, path string, err error) *trouble {
	var answered *api.ResponseError
	if errors.As(err, &answered) {
		return readAnswer(address, path, answered)
	}
	host := func(code, format string, args ...any) *trouble {
		t := failed(code, format, args...)
		t.elsewhere, t.closes = true, true
		return t
	}
	var dial *net.OpError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &verification):
		return host("vault-tls", "cannot trust Vault at %s: %s: set vault-ca to the CA of its certificate, and vault-address to a name in it",
			address, cause(err))
	case errors.As(err, &dial) && dial.Op == "dial":
		return host("vault-unreachable", "cannot reach Vault at %s: %s: see vault-address and the network", address, cause(err))
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		t := failed("vault-slow", "Vault at %s does not answer in time", address)
		t.unanswered, t.closes = true, true
		return t
	case errors.Is(err, context.Canceled):
		t := failed("vault-slow", "the call of Vault at %s was given up", address)
		t.unanswered = true
		return t
	}
	t := host("vault-unreachable", "the connection with Vault at %s broke: %s", address, cause(err))
	t.elsewhere, t.unanswered = false, true
	return t
}

// readAnswer says what an error that Vault answered means.
func readAnswer(address, path string, answered *api.ResponseError) *trouble {
	read := readStatus(address, path, answered)
	read.status = answered.StatusCode
	return read
}

func readStatus(address, path string, answered *api.ResponseError) *trouble {
	said := strings.Join(strings.Fields(strings.Join(answered.Errors, "; ")), " ")
	if answered.RawError || said == "" || len(said) > maxSaid {
		said = fmt.Sprintf("status %d", answered.StatusCode)
	}
	switch status := answered.StatusCode; {
	case status == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(said), "seal"):
		t := failed("vault-sealed", "Vault at %s is sealed: unseal it (vault operator unseal)", address)
		t.elsewhere, t.closes = true, true
		return t
	case status == http.StatusForbidden:
		t := failed("vault-denied", "Vault denies %s: give the AppRole the policy that signet vault-policy prints", path)
		t.token = true
		return t
	case status == http.StatusNotFound && (strings.Contains(said, "no handler for route") || strings.Contains(said, "route entry not found")):
		return failed("vault-mount", "Vault has nothing at %s: set vault-mount to where a PKI engine is, or make one with what signet vault-setup prints",
			mountOf(path))
	case status == http.StatusTooManyRequests:
		t := failed("vault-busy", "Vault at %s limits how often it is asked: raise its rate limit quota", address)
		t.closes = true
		return t
	case status == http.StatusServiceUnavailable, status == 472, status == 473, status == http.StatusBadGateway, status == http.StatusTemporaryRedirect:
		t := failed("vault-standby", "Vault at %s serves nothing now: %s", address, said)
		t.elsewhere, t.closes, t.unanswered = true, true, status == http.StatusBadGateway
		return t
	case strings.Contains(said, "fetch the CA certificate") || strings.Contains(said, "fetching CA certificate") || strings.Contains(said, "no default issuer"):
		return failed("vault-empty", "Vault has no CA at %s: restore it there, or run rotate-ca for a new one", mountOf(path))
	case status >= http.StatusInternalServerError:
		if strings.Contains(said, "no active node") || strings.Contains(said, "local node not active") {
			t := failed("vault-standby", "Vault at %s is a standby and finds no active node: %s", address, said)
			t.elsewhere, t.closes = true, true
			return t
		}
		t := failed("vault-error", "Vault at %s fails: %s: see its log", address, said)
		t.unanswered = true
		return t
	default:
		return failed("vault-refused", "Vault refuses %s: %s", path, said)
	}
}

// maxSaid is how much of Vault's own words is repeated, in bytes.
const maxSaid = 400

// mountOf is the mount in a path: what comes before the names that this program uses.
func mountOf(path string) string {
	for _, name := range []string{"/issuer/", "/sign-verbatim", "/root/", "/intermediate/", "/cert/", "/certs", "/revoke", "/crl/", "/login"} {
		if mount, _, found := strings.Cut(path, name); found {
			return mount
		}
	}
	return path
}

// cause is the innermost of an error's words: the outer ones repeat the address and the path.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
