package javaagent_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// stubs prints classes that implement java.sql's interfaces and do nothing, so
// that the agent has a JDBC driver to watch.
const stubs = `
import java.lang.reflect.*;
import java.util.*;

public class Stubs {
    static String type(Class<?> c) { return c.isArray() ? type(c.getComponentType()) + "[]" : c.getName().replace('$', '.'); }

    public static void main(String[] args) throws Exception {
        for (String name : new String[] {"Driver", "Connection", "PreparedStatement", "DatabaseMetaData"}) {
            StringBuilder b = new StringBuilder("public class Own" + name + " implements java.sql." + name + " {\n");
            Set<String> seen = new HashSet<>();
            for (Method m : Class.forName("java.sql." + name).getMethods()) {
                if (m.isDefault() || Modifier.isStatic(m.getModifiers())) continue;
                StringBuilder head = new StringBuilder(m.getName() + "(");
                int i = 0;
                for (Class<?> p : m.getParameterTypes()) head.append(i == 0 ? "" : ", ").append(type(p)).append(" a").append(i++);
                if (!seen.add(head.toString())) continue;
                Class<?> r = m.getReturnType();
                String value = r == void.class ? "" : r == boolean.class ? "return false;" : r.isPrimitive() ? "return 0;" : "return null;";
                if (r == java.sql.Connection.class) value = "return new OwnConnection();";
                if (r == java.sql.PreparedStatement.class) value = "return new OwnPreparedStatement();";
                if (r == java.sql.DatabaseMetaData.class) value = "return new OwnDatabaseMetaData();";
                if (m.getName().equals("getURL")) value = "return \"jdbc:postgresql://db/shop\";";
                b.append("public ").append(type(r)).append(" ").append(head).append(") { ").append(value).append(" }\n");
            }
            java.nio.file.Files.write(java.nio.file.Paths.get("Own" + name + ".java"), b.append("}\n").toString().getBytes());
        }
    }
}
`

// query runs one statement with a parameter and one with a literal, and logs a
// line.
const query = `
import java.sql.*;

public class Query {
    public static void main(String[] args) throws Exception {
        DriverManager.registerDriver(new OwnDriver());
        try (Connection c = DriverManager.getConnection("jdbc:postgresql://db/shop")) {
            PreparedStatement bound = c.prepareStatement("SELECT * FROM cart WHERE owner = ?");
            bound.setString(1, "a-parameter");
            bound.executeQuery();
            c.prepareStatement("SELECT * FROM cart WHERE name = 'a-literal'").executeQuery();
        }
        java.util.logging.Logger.getLogger("shop").warning("a line of the application");
    }
}
`

// methods makes requests whose metrics have as many attribute sets as there are
// methods.
const methods = `
import com.sun.net.httpserver.HttpServer;
import java.net.*;

public class Methods {
    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", e -> { e.sendResponseHeaders(200, -1); e.close(); });
        server.start();
        for (String method : new String[] {"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD"}) {
            HttpURLConnection c = (HttpURLConnection) new URL("http://127.0.0.1:" + server.getAddress().getPort() + "/").openConnection();
            c.setRequestMethod(method);
            c.getResponseCode();
        }
        server.stop(0);
    }
}
`

// More rows of the mapping, seen from outside.
func TestTheRealAgentAgreesWithTheRows(t *testing.T) {
	w := newAgentWorld(t, map[string]string{"Stubs.java": stubs, "Methods.java": methods})
	w.world.run(t, nil, w.java, "-cp", ".", "Stubs")
	if err := os.WriteFile(filepath.Join(w.dir, "Query.java"), []byte(query), 0o600); err != nil {
		t.Fatal(err)
	}
	w.compile(t, "Query.java", "OwnDriver.java", "OwnConnection.java", "OwnPreparedStatement.java", "OwnDatabaseMetaData.java")
	const swFlag = "-javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=cart "
	java := func(class string) []string { return []string{"sh", "-c", `exec "$JAVA" -cp . ` + class} }
	statements := func(got *received) string {
		var all []string
		for _, s := range got.spans {
			for name, value := range s.attributes {
				if strings.HasPrefix(name, "db.") {
					all = append(all, name+"="+value)
				}
			}
		}
		slices.Sort(all)
		return strings.Join(all, "\n")
	}

	t.Run("SQL is sanitised, and logs are exported where nothing switches them off", func(t *testing.T) {
		got, _ := w.run(t, nil, javaagent.Input{
			Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.log.max_message_size=99", Target: javaagent.Target{Add: []string{"-Dotel.metrics.exporter=none"}},
		}, java("Query")...)
		if text := statements(got); !strings.Contains(text, "WHERE name = ?") || strings.Contains(text, "a-literal") || strings.Contains(text, "a-parameter") {
			t.Errorf("statements:\n%s", text)
		}
		if !strings.Contains(got.bodies["/v1/logs"], "a line of the application") {
			t.Errorf("the listener got %v", got.paths)
		}
	})
	t.Run("parameters of SQL", func(t *testing.T) {
		got, _ := w.run(t, nil, javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.plugin.jdbc.trace_sql_parameters=true"}, java("Query")...)
		if text := statements(got); !strings.Contains(text, "=a-parameter") {
			t.Errorf("statements:\n%s", text)
		}
	})
	t.Run("sanitising off for every database", func(t *testing.T) {
		got, _ := w.run(t, nil, javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.plugin.mongodb.trace_param=true"}, java("Query")...)
		if text := statements(got); !strings.Contains(text, "a-literal") {
			t.Errorf("statements:\n%s", text)
		}
	})
	t.Run("sanitising off by the name that a later agent has for it", func(t *testing.T) {
		in := javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.plugin.mongodb.trace_param=true"}
		in.Target.Version = "2.31.0"
		w := w
		w.jar = laterAgentJar(t)
		got, _ := w.run(t, nil, in, java("Query")...)
		if text := statements(got); !strings.Contains(text, "a-literal") {
			t.Errorf("statements:\n%s", text)
		}
	})
	t.Run("the number of attribute sets of a metric", func(t *testing.T) {
		got, _ := w.run(t, nil, javaagent.Input{
			Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.meter.max_meter_size=3", Target: javaagent.Target{Add: []string{"-Dotel.logs.exporter=none"}},
		}, java("Methods")...)
		if !strings.Contains(got.bodies["/v1/metrics"], "otel.metric.overflow") {
			t.Errorf("six methods fit into a limit of three: the listener got %v", got.paths)
		}
	})
	t.Run("meters off", func(t *testing.T) {
		got, _ := w.run(t, nil, javaagent.Input{
			Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.meter.active=false -Dskywalking.buffer.channel_size=1 -Dskywalking.buffer.buffer_size=2",
			Target: javaagent.Target{Add: []string{"-Dotel.logs.exporter=none"}},
		}, java("Methods")...)
		if slices.Contains(got.paths, "/v1/metrics") || len(got.spans) == 0 || len(got.spans) >= 12 {
			t.Errorf("the listener got %v, and %d of 12 spans through a queue of 2", got.paths, len(got.spans))
		}
	})
	t.Run("TLS, a CA's certificate and a client's", func(t *testing.T) {
		certificate, key := clientCertificate(t, w.dir)
		server := httptest.NewUnstartedServer(&received{})
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(certificate)
		server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
		server.StartTLS()
		defer server.Close()
		ca := filepath.Join(w.dir, "ca.crt")
		if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		got, talk := w.run(t, server, javaagent.Input{
			Variable: "JAVA_TOOL_OPTIONS",
			Text: swFlag + "-Dskywalking.agent.force_tls=true -Dskywalking.agent.ssl_trusted_ca_path=ca/ca.crt -Dskywalking.agent.ssl_key_path=ca/client.key " +
				"-Dskywalking.agent.ssl_cert_chain_path=ca/client.crt",
			Target: javaagent.Target{Add: []string{
				"-Dotel.logs.exporter=none", "-Dotel.metrics.exporter=none", "-Dotel.exporter.otlp.certificate=" + ca,
				"-Dotel.exporter.otlp.client.key=" + key, "-Dotel.exporter.otlp.client.certificate=" + filepath.Join(w.dir, "client.crt"),
			}},
		}, java("Query")...)
		if !slices.Contains(got.paths, "/v1/traces") {
			t.Errorf("the listener got %v\n%s", got.paths, talk)
		}
	})
}

// clientCertificate writes a client's key, PKCS8, and its own certificate.
func clientCertificate(t *testing.T, dir string) (certificate []byte, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	keyFile = filepath.Join(dir, "client.key")
	for name, content := range map[string][]byte{keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), filepath.Join(dir, "client.crt"): certificate} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, keyFile
}
