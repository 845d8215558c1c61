// SPDX-License-Identifier: AGPL-3.0-only

package doctor

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/controller"
	"github.com/signet-charm/signet/internal/view/diagnosis"
)

// dialLimit bounds one question over the network.
const dialLimit = 3 * time.Second

// controllers looks at agent.conf, and at each address in it.
func (g *gatherer) controllers(ctx context.Context) {
	conf := &g.facts.Conf
	conf.Path = g.at.AgentConf
	if conf.Path == "" {
		return
	}
	info, err := os.Stat(conf.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		conf.Absent = true
		return
	case err != nil:
		conf.Trouble = err.Error()
		return
	}
	conf.Mode = uint32(info.Mode().Perm())
	found, err := controller.Probe(ctx, conf.Path, g.at.Unit)
	if err != nil {
		conf.Trouble = err.Error()
		return
	}
	for _, one := range found {
		reach := diagnosis.Reach{Address: one.Address, NotAfter: one.NotAfter}
		if one.Trouble != nil {
			reach.Trouble = one.Trouble.Error()
		}
		if !one.Date.IsZero() {
			reach.Dated, reach.Ahead = true, one.Date.Sub(one.Asked)
		}
		g.facts.Controllers = append(g.facts.Controllers, reach)
	}
}

// serverPorts are where what uses a unit's certificate commonly serves: HTTPS, the API server, etcd and its peers, kubelet.
func serverPorts() []int { return []int{443, 6443, 2379, 2380, 10250} }

// served looks at who serves the certificates of this unit, at its own addresses, and at those that the operator gave.
func (g *gatherer) served(ctx context.Context) {
	type target struct {
		address string
		one     diagnosis.Laid
		leaf    *x509.Certificate
		asked   bool
	}
	var targets []target
	own := ownAddresses()
	trust := g.trusted()
	var first target
	for _, one := range g.facts.Certificate {
		leaf, err := cert.Parse(one.PEM)
		if err != nil || !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
			continue
		}
		first = target{one: one, leaf: leaf}
		for _, host := range hostsOf(leaf, own) {
			for _, port := range serverPorts() {
				targets = append(targets, target{address: net.JoinHostPort(host, strconv.Itoa(port)), one: one, leaf: leaf})
			}
		}
	}
	for _, address := range g.at.Dial {
		asked := first
		asked.address, asked.asked = address, true
		targets = append(targets, asked)
	}
	found := make([]*diagnosis.Served, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() {
			one, leaf := dial(ctx, t.address, trust, g.now())
			if !t.asked && !sameNames(leaf, t.leaf) { // anything may be on such a port, and what it is is its own business
				return
			}
			one.Asked = t.asked
			if t.leaf != nil && sameNames(leaf, t.leaf) {
				one.Path, one.Expected = t.one.Path, cert.SerialText(t.leaf.SerialNumber)
			}
			found[i] = &one
		})
	}
	all.Wait()
	for _, one := range found {
		if one != nil {
			g.facts.Served = append(g.facts.Served, *one)
		}
	}
}

// sameNames reports whether a certificate takes, or took, another's place.
func sameNames(served, laid *x509.Certificate) bool {
	return served != nil && laid != nil && served.Subject.CommonName == laid.Subject.CommonName && cert.NamesOf(served).Equal(cert.NamesOf(laid))
}

// trusted are the CAs that this unit knows: those that it publishes, and those beside its own certificates.
func (g *gatherer) trusted() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, one := range g.facts.View.Authorities {
		pool.AppendCertsFromPEM([]byte(one.PEM + strings.Join(one.Chain, "\n")))
	}
	for _, one := range g.facts.Certificate {
		pool.AppendCertsFromPEM([]byte(one.CA))
	}
	return pool
}

// ownAddresses are this machine's.
func ownAddresses() map[string]bool {
	own := map[string]bool{}
	list, _ := net.InterfaceAddrs() // none: only loopback is known to be own
	for _, one := range list {
		if network, ok := one.(*net.IPNet); ok {
			own[network.IP.String()] = true
		}
	}
	return own
}

// hostsOf are the addresses that a certificate names and that are this machine's, and loopback.
func hostsOf(leaf *x509.Certificate, own map[string]bool) []string {
	hosts := []string{"127.0.0.1"}
	for _, ip := range leaf.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok && own[addr.Unmap().String()] && !addr.Unmap().IsLoopback() {
			hosts = append(hosts, addr.Unmap().String())
		}
	}
	return hosts
}

// dial sees what an address serves. The handshake trusts nobody and sends nothing: what is served is judged afterwards, also
// where it is wrong.
func dial(ctx context.Context, address string, trust *x509.CertPool, now time.Time) (diagnosis.Served, *x509.Certificate) {
	found := diagnosis.Served{Address: address}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	chain, err := Handshake(ctx, address)
	if err != nil {
		found.Refused, found.Trouble = errors.Is(err, syscall.ECONNREFUSED), err.Error()
		return found, nil
	}
	leaf := chain[0]
	found.Serial, found.Name, found.NotAfter = cert.SerialText(leaf.SerialNumber), leaf.Subject.CommonName, leaf.NotAfter
	between := x509.NewCertPool()
	for _, one := range chain[1:] {
		between.AddCert(one)
	}
	if now.After(leaf.NotAfter) { // which is said by itself
		now = leaf.NotAfter
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: trust, Intermediates: between, CurrentTime: now}); err != nil {
		found.Unproven = err.Error()
	}
	return found, leaf
}

// Handshake gives the certificates that a TLS server presents, whoever it is.
func Handshake(ctx context.Context, address string) ([]*x509.Certificate, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // nothing is sent; what is presented is judged by who asked
	if _, err := netip.ParseAddr(host); err != nil {
		config.ServerName = host
	}
	var presented []*x509.Certificate
	config.VerifyConnection = func(state tls.ConnectionState) error {
		presented = state.PeerCertificates
		return nil
	}
	secured := tls.Client(conn, config)
	err = secured.HandshakeContext(ctx)
	if len(presented) > 0 { // a server that wants a client's certificate ends it afterwards
		return presented, nil
	}
	return nil, errors.Join(err, errors.New("it presents no certificate"))
}

// listening looks at what this unit serves itself.
func (g *gatherer) listening(ctx context.Context) {
	set := g.facts.View.Settings.Listen
	if set == "" {
		return
	}
	l := &diagnosis.Listening{Address: set}
	g.facts.Listening = l
	at, err := netip.ParseAddrPort(set)
	if err != nil {
		l.Trouble = "it is no address"
		return
	}
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
	}
	base := "http://" + at.String()
	health, status, err := ask(ctx, http.MethodGet, base+"/healthz", "", nil)
	if err != nil {
		l.Trouble = err.Error()
		return
	}
	if status != http.StatusOK {
		l.Health = strings.TrimSpace(string(health))
	}
	for _, one := range g.facts.View.Authorities {
		ca, err := cert.Parse(one.PEM)
		if err != nil || one.Role != "signing" {
			continue
		}
		if one.CRL != nil {
			l.CRL = judgeCRL(ctx, base, ca, g.now())
		}
		if len(one.OCSPURLs) > 0 {
			l.Asked, l.OCSP = true, g.judgeOCSP(ctx, base, ca, one.Generation)
		}
	}
}

// ask makes one HTTP request.
func ask(ctx context.Context, method, url, mime string, body []byte) (answer []byte, status int, err error) {
	const most = 64 << 20
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	if mime != "" {
		request.Header.Set("Content-Type", mime)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	response, err := client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, most))
	return answer, response.StatusCode, err
}

func judgeCRL(ctx context.Context, base string, ca *x509.Certificate, now time.Time) string {
	der, status, err := ask(ctx, http.MethodGet, base+"/crl", "", nil)
	if err != nil {
		return err.Error()
	}
	list, err := x509.ParseRevocationList(der)
	switch {
	case status != http.StatusOK:
		return fmt.Sprintf("the answer is %d", status)
	case err != nil:
		return "it cannot be read"
	case list.CheckSignatureFrom(ca) != nil:
		return "it is not signed by the CA in service"
	case now.After(list.NextUpdate):
		return "it is overdue since " + list.NextUpdate.UTC().Format(time.RFC3339)
	}
	return ""
}

// judgeOCSP asks about any certificate of a CA that was issued here (RFC 6960).
func (g *gatherer) judgeOCSP(ctx context.Context, base string, ca *x509.Certificate, generation int) string {
	var leaf *x509.Certificate
	for _, one := range g.facts.View.Certificates {
		if one.Generation == generation && one.Serial != "" && leaf == nil {
			leaf, _ = cert.Parse(one.PEM)
		}
	}
	if leaf == nil {
		return ""
	}
	request, err := ocsp.CreateRequest(leaf, ca, &ocsp.RequestOptions{Hash: crypto.SHA256})
	if err != nil {
		return err.Error()
	}
	der, _, err := ask(ctx, http.MethodPost, base+"/ocsp", "application/ocsp-request", request)
	if err != nil {
		return err.Error()
	}
	answer, err := ocsp.ParseResponseForCert(der, leaf, ca)
	switch {
	case err != nil:
		return err.Error()
	case g.now().After(answer.NextUpdate):
		return "its answer is overdue"
	case answer.Status == ocsp.Unknown:
		return "it does not know what was issued here"
	}
	return ""
}
