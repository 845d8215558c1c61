// SPDX-License-Identifier: AGPL-3.0-only

package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/juju/juju/agent"
	"github.com/juju/names/v5"
	"github.com/juju/version/v2"
)

// identity is the controller's authority and its certificate for the name that all Juju clients accept.
type identity struct {
	caPEM       string
	ca          *x509.Certificate
	caKey       *ecdsa.PrivateKey
	certificate tls.Certificate
}

// credential is what a unit logs in with. The password it was made with stays in agent.conf as the old one, as with a
// real agent, but opens nothing once there is a newer.
type credential struct {
	password string
	old      string
}

func newIdentity() (*identity, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make controller key: %w", err)
	}
	// The client's TLS library goes by the real time, whatever clock the model has.
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "juju-generated CA", Organization: []string{"juju"}},
		NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, fmt.Errorf("cannot make controller authority: %w", err)
	}
	// Read back for its key identifiers.
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return nil, fmt.Errorf("cannot make controller authority: %w", err)
	}
	return identity{
		caPEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})), ca: ca, caKey: caKey,
	}.renewed()
}

// renewed is the same authority with a new certificate.
func (i identity) renewed() (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make controller key: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano() + 1), Subject: pkix.Name{CommonName: "juju-apiserver", Organization: []string{"juju"}},
		NotBefore: i.ca.NotBefore, NotAfter: i.ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "juju-apiserver"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, i.ca, key.Public(), i.caKey)
	if err != nil {
		return nil, fmt.Errorf("cannot make controller certificate: %w", err)
	}
	i.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &i, nil
}

// AgentConf is the path of a unit's agent.conf.
func (c *Controller) AgentConf(unit string) string {
	return agent.ConfigPath(c.dir, names.NewUnitTag(unit))
}

// RotatePassword gives a unit a new password and writes its agent.conf anew. Connections that are logged in stay so.
func (c *Controller) RotatePassword(unit string) error {
	password, err := newPassword()
	if err != nil {
		return fmt.Errorf("cannot rotate password of %q: %w", unit, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known, found := c.credentials[unit]
	if !found {
		return fmt.Errorf("cannot rotate password of %q: no such unit", unit)
	}
	known.old, known.password = known.password, password
	return c.writeAgentConf(unit)
}

// RewriteAgentConfs writes every unit's agent.conf with the controller's authority of now.
func (c *Controller) RewriteAgentConfs() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for unit := range c.credentials {
		if err := c.writeAgentConf(unit); err != nil {
			return err
		}
	}
	return nil
}

// enrol makes a new unit's password and agent.conf.
func (c *Controller) enrol(unit string) error {
	password, err := newPassword()
	if err != nil {
		return fmt.Errorf("cannot enrol unit %q: %w", unit, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credentials[unit] = &credential{password: password, old: password}
	return c.writeAgentConf(unit)
}

// dismiss ends a removed unit's right to log in. Its files stay, as on a real machine until it is torn down.
func (c *Controller) dismiss(unit string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.credentials, unit)
}

// authenticate reports whether the password is the unit's.
func (c *Controller) authenticate(unit, password string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, found := c.credentials[unit]
	return found && subtle.ConstantTimeCompare([]byte(known.password), []byte(password)) == 1
}

// writeAgentConf writes a unit's agent.conf with Juju's own code, readable by its owner only. The caller holds the lock.
func (c *Controller) writeAgentConf(unit string) error {
	number, err := version.Parse(c.model.version)
	if err != nil {
		return fmt.Errorf("cannot write agent.conf of %q: %w", unit, err)
	}
	known := c.credentials[unit]
	paths := agent.Paths{DataDir: c.dir, LogDir: c.dir + "/log", MetricsSpoolDir: c.dir + "/metricspool"}
	conf, err := agent.NewAgentConfig(agent.AgentConfigParams{
		Paths:             paths,
		UpgradedToVersion: number,
		Tag:               names.NewUnitTag(unit),
		Password:          known.old,
		Controller:        names.NewControllerTag(c.uuid),
		Model:             names.NewModelTag(c.model.uuid),
		APIAddresses:      []string{c.addr},
		CACert:            c.identity.caPEM,
	})
	if err != nil {
		return fmt.Errorf("cannot write agent.conf of %q: %w", unit, err)
	}
	conf.SetPassword(known.password)
	if err := os.MkdirAll(agent.Dir(c.dir, names.NewUnitTag(unit)), 0o755); err != nil {
		return fmt.Errorf("cannot write agent.conf of %q: %w", unit, err)
	}
	if err := conf.Write(); err != nil {
		return fmt.Errorf("cannot write agent.conf of %q: %w", unit, err)
	}
	return nil
}

func newPassword() (string, error) {
	raw := make([]byte, 18)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("cannot make password: %w", err)
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}
