// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// The scripted providers of the stories write what the charms of their names write, so that signet is seen as the
// consumer of others than itself.

// scriptedCA signs for them.
type scriptedCA struct {
	mu     sync.Mutex
	name   string
	key    crypto.Signer
	cert   *x509.Certificate
	issued map[string][2]string // certificate and key by what was asked: the charms issue nothing twice
}

func (ca *scriptedCA) init() error {
	if ca.key != nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ca.name}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	ca.key, ca.issued = key, map[string][2]string{}
	ca.cert, err = x509.ParseCertificate(der)
	return err
}

func (ca *scriptedCA) sign(template *x509.Certificate, public any, age time.Duration) (string, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return "", err
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, time.Now().Add(-age), time.Now().Add(90*24*time.Hour-age)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, public, ca.key)
	return strings.TrimSpace(cert.Encode(der)), err
}

// easyRSA answers in the legacy dialect, with openssl's text before each certificate.
type easyRSA struct{ ca scriptedCA }

func (*easyRSA) meta(app string) sandbox.CharmMeta {
	return sandbox.CharmMeta{Name: app, Endpoints: []juju.Endpoint{{Name: "client", Interface: tlsInterface, Role: juju.Provides}}}
}

func (e *easyRSA) Hook(_ context.Context, hook *sandbox.HookContext) error {
	e.ca.mu.Lock()
	defer e.ca.mu.Unlock()
	if err := e.ca.init(); err != nil {
		return err
	}
	for _, relation := range relationIDs(hook, "client") {
		if strings.HasSuffix(hook.Info().Name, "-broken") {
			continue
		}
		answers := map[string]string{"ca": strings.TrimSpace(cert.EncodeCertificates(e.ca.cert))}
		for _, settings := range eachRemote(hook, relation) {
			if err := e.answer(settings, answers); err != nil {
				return err
			}
		}
		if err := relationSet(hook, relation, answers); err != nil {
			return err
		}
	}
	return nil
}

func (e *easyRSA) answer(settings, answers map[string]string) error {
	name := settings["unit_name"]
	if name == "" {
		return nil
	}
	global, err := e.issue("client", nil)
	if err != nil {
		return err
	}
	answers["client.cert"], answers["client.key"] = global[0], global[1]
	if settings["common_name"] != "" {
		var sans []string
		if err := json.Unmarshal([]byte(settings["sans"]), &sans); err != nil {
			return err
		}
		pair, err := e.issue(settings["common_name"], sans)
		if err != nil {
			return err
		}
		answers[name+".server.cert"], answers[name+".server.key"] = pair[0], pair[1]
	}
	var clients map[string]any
	_ = json.Unmarshal([]byte(settings["client_cert_requests"]), &clients)
	processed := map[string]map[string]string{}
	for _, commonName := range slices.Sorted(maps.Keys(clients)) {
		pair, err := e.issue(commonName, nil)
		if err != nil {
			return err
		}
		processed[commonName] = map[string]string{"cert": pair[0], "key": pair[1]}
	}
	text, err := json.Marshal(processed)
	answers[name+".processed_client_requests"] = string(text)
	return err
}

func (e *easyRSA) issue(commonName string, sans []string) ([2]string, error) {
	ask := fmt.Sprint(commonName, sans)
	if known, found := e.ca.issued[ask]; found {
		return known, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return [2]string{}, err
	}
	encoded, err := cert.EncodeKey(key)
	if err != nil {
		return [2]string{}, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range sans {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	certificate, err := e.ca.sign(template, key.Public(), time.Minute)
	e.ca.issued[ask] = [2]string{"Certificate:\n    Data:\n        Version: 3 (0x2)\n" + certificate, encoded.Reveal()}
	return e.ca.issued[ask], err
}

// selfSigned answers in the CSR dialect. A request for a forbidden common name gets an error; of an aged one, the first
// certificate of each common name is near its end.
type selfSigned struct {
	ca     scriptedCA
	forbid string
	aged   bool
	seen   map[string]bool
}

func (*selfSigned) meta(app string) sandbox.CharmMeta {
	return sandbox.CharmMeta{Name: app, Endpoints: []juju.Endpoint{{Name: certificatesEndpoint, Interface: tlsInterface, Role: juju.Provides}}}
}

func (p *selfSigned) Hook(_ context.Context, hook *sandbox.HookContext) error {
	p.ca.mu.Lock()
	defer p.ca.mu.Unlock()
	if err := p.ca.init(); err != nil {
		return err
	}
	for _, relation := range relationIDs(hook, certificatesEndpoint) {
		if strings.HasSuffix(hook.Info().Name, "-broken") {
			continue
		}
		certificates, refusals := []any{}, []any{}
		for _, settings := range eachRemote(hook, relation) {
			var asked []struct {
				Request string `json:"certificate_signing_request"`
			}
			_ = json.Unmarshal([]byte(settings["certificate_signing_requests"]), &asked)
			for _, ask := range asked {
				answer, refusal, err := p.answer(ask.Request)
				if err != nil {
					return err
				}
				if refusal != nil {
					refusals = append(refusals, refusal)
				} else {
					certificates = append(certificates, answer)
				}
			}
		}
		if err := p.publish(hook, relation, certificates, refusals); err != nil {
			return err
		}
	}
	return nil
}

func (p *selfSigned) publish(hook *sandbox.HookContext, relation string, certificates, refusals []any) error {
	settings := map[string]string{}
	for key, list := range map[string][]any{"certificates": certificates, "request_errors": refusals} {
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		if settings[key] = string(text); len(list) == 0 {
			settings[key] = ""
		}
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	_, err = hook.Tool("relation-set", []string{"--app", "-r", relation, "--file", "-"}, text)
	return err
}

func (p *selfSigned) answer(request string) (answer, refusal any, err error) {
	block, _ := pem.Decode([]byte(request))
	if block == nil {
		return nil, nil, fmt.Errorf("no request: %q", request)
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, nil, err
	}
	if p.forbid != "" && parsed.Subject.CommonName == p.forbid {
		return nil, map[string]any{"csr": request, "error": map[string]any{"code": 102, "name": "DOMAIN_NOT_ALLOWED", "message": "not in this house"}}, nil
	}
	issued, known := p.ca.issued[request]
	if !known {
		template := &x509.Certificate{RawSubject: parsed.RawSubject, DNSNames: parsed.DNSNames, IPAddresses: parsed.IPAddresses}
		server, client := cert.RequestedUsages(parsed)
		if server {
			template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}
		if client {
			template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
		}
		age := time.Minute
		if name := parsed.Subject.CommonName; p.aged && !p.seen[name] {
			age, p.seen[name] = 80*24*time.Hour, true
		}
		if issued[0], err = p.ca.sign(template, parsed.PublicKey, age); err != nil {
			return nil, nil, err
		}
		p.ca.issued[request] = issued
	}
	ca := strings.TrimSpace(cert.EncodeCertificates(p.ca.cert))
	return map[string]any{
		"certificate_signing_request": request, "certificate": issued[0], "ca": ca, "chain": []string{issued[0], ca},
	}, nil, nil
}
