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
	"path/filepath"
	"time"

	"github.com/juju/names/v5"
	"github.com/juju/version/v2"
	"gopkg.in/yaml.v2"
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
	return filepath.Join(c.dir, "agents", names.NewUnitTag(unit).String(), "agent.conf")
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

// agentConf is a unit's agent.conf in Juju's format 2.0 (agent/format-2.0.go there). Juju's own writer brings the client of its
// database along, which each start of the program would load and initialise, hooks included; its reader judges the
// text in tests.
type agentConf struct {
	Tag               string            `yaml:"tag"`
	DataDir           string            `yaml:"datadir"`
	TransientDataDir  string            `yaml:"transient-datadir"`
	LogDir            string            `yaml:"logdir"`
	MetricsSpoolDir   string            `yaml:"metricsspooldir"`
	UpgradedToVersion version.Number    `yaml:"upgradedToVersion"`
	CACert            string            `yaml:"cacert"`
	Controller        string            `yaml:"controller"`
	Model             string            `yaml:"model"`
	APIAddresses      []string          `yaml:"apiaddresses"`
	APIPassword       string            `yaml:"apipassword"`
	OldPassword       string            `yaml:"oldpassword"`
	Values            map[string]string `yaml:"values"`
	MaxSizeMB         int               `yaml:"agent-logfile-max-size"`
	MaxBackups        int               `yaml:"agent-logfile-max-backups"`
}

// writeAgentConf writes a unit's agent.conf, readable by its owner only. The caller holds the lock.
func (c *Controller) writeAgentConf(unit string) error {
	number, err := version.Parse(c.model.version)
	if err != nil {
		return fmt.Errorf("cannot write agent.conf of %q: %w", unit, err)
	}
	known := c.credentials[unit]
	text, err := yaml.Marshal(agentConf{
		Tag:               names.NewUnitTag(unit).String(),
		DataDir:           c.dir,
		TransientDataDir:  "/var/run/juju",
		LogDir:            c.dir + "/log",
		MetricsSpoolDir:   c.dir + "/metricspool",
		UpgradedToVersion: number,
		CACert:            c.identity.caPEM,
		Controller:        names.NewControllerTag(c.uuid).String(),
		Model:             names.NewModelTag(c.model.uuid).String(),
		APIAddresses:      []string{c.addr},
		APIPassword:       known.password,
		OldPassword:       known.old,
		Values:            map[string]string{},
	})
	if err != nil {
		return fmt.Errorf("cannot write agent.conf of %q: %w", unit, err)
	}
	path := c.AgentConf(unit)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot write agent.conf of %q: %w", unit, err)
	}
	// Whoever reads it meanwhile finds the former one or the new one.
	fresh := path + ".new"
	if err := os.WriteFile(fresh, append([]byte("# format 2.0\n"), text...), 0o600); err != nil {
		return fmt.Errorf("cannot write agent.conf of %q: %w", unit, err)
	}
	if err := os.Rename(fresh, path); err != nil {
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
