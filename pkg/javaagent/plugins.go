package javaagent

import (
	"regexp"
	"strings"
)

// PluginUse is a plugin that a container switches off, or has copied to its
// agent, and what the OpenTelemetry agent has for the same library.
type PluginUse struct {
	Name     string `json:"name"` // as it is written
	Excluded bool   `json:"excluded"`
	// Instrumentations are names for otel.instrumentation.<name>.enabled; empty:
	// no counterpart.
	Instrumentations []string `json:"instrumentations"`
	Note             string   `json:"note,omitempty"`
}

// PluginUses lists what plugin.exclude_plugins names, and the patterns by which
// SWCK copies optional plugins.
func PluginUses(c Config, copied []string) []PluginUse {
	var uses []PluginUse
	add := func(name string, excluded bool) {
		use := PluginUse{Name: name, Excluded: excluded, Instrumentations: []string{}, Note: "not in the table of plugins"}
		plugin, known := PluginOf(name)
		if !known && !excluded {
			plugin, known = copiedPlugin(name)
		}
		if known {
			use.Instrumentations, use.Note = append(use.Instrumentations, plugin.Instrumentations...), plugin.Note
		}
		uses = append(uses, use)
	}
	if excluded, ok := c.Get("plugin.exclude_plugins"); ok {
		for _, name := range known(excluded) {
			add(name, true)
		}
	}
	for _, name := range copied {
		if name = strings.TrimSpace(name); name != "" {
			add(name, false)
		}
	}
	return uses
}

// jarName is a plugin's jar, or the pattern by which SWCK picks it:
// "apm-spring-webflux-5.x-webclient-plugin-8.13.0.jar", "webflux-5.x".
var jarName = regexp.MustCompile(`^(?:apm-)?(.*?)(?:-plugin)?[-.*]*(?:\d[\dx.*]*)?(?:\.jar)?$`)

// copiedPlugin finds a plugin by its jar's name or a part of that: one with a
// counterpart first.
func copiedPlugin(pattern string) (Plugin, bool) {
	name := jarName.FindStringSubmatch(pattern)[1]
	if plugin, ok := PluginOf(name); ok {
		return plugin, true
	}
	if name == "" {
		return Plugin{}, false
	}
	found := Plugin{}
	for _, p := range pluginTable {
		if strings.Contains(p.Name, name) && (found.Name == "" || len(found.Instrumentations) == 0 && len(p.Instrumentations) > 0) {
			found = p
		}
	}
	return found, found.Name != ""
}

// HasCounterpart reports that the OpenTelemetry agent instruments the library.
func (p PluginUse) HasCounterpart() bool { return len(p.Instrumentations) > 0 }

//nolint:gochecknoglobals // lookup table
var pluginTable = []Plugin{
	{Name: "activemq", Instrumentations: []string{"jms"}},
	{Name: "aerospike"},
	{Name: "apache-cxf", Instrumentations: []string{"cxf"}},
	{Name: "armeria", Instrumentations: []string{"armeria"}},
	{Name: "async-http-client", Instrumentations: []string{"async-http-client"}},
	{Name: "avro"},
	{Name: "brpc-java"},
	{Name: "c3p0", Instrumentations: []string{"c3p0"}},
	{Name: "caffeine"},
	{Name: "canal"},
	{Name: "cassandra-java-driver", Instrumentations: []string{"cassandra"}},
	{Name: "clickhouse", Instrumentations: []string{"clickhouse"}},
	{Name: "dbcp", Instrumentations: []string{"apache-dbcp"}},
	{Name: "druid", Instrumentations: []string{"alibaba-druid"}},
	{Name: "dubbo", Instrumentations: []string{"apache-dubbo"}, Note: "from Dubbo 2.7"},
	{Name: "dubbo-threadpool", Note: "metrics of a pool"},
	{Name: "ehcache"},
	{Name: "elastic-job", Instrumentations: []string{"apache-elasticjob"}, Note: "from ElasticJob 3.0"},
	{Name: "elasticjob", Instrumentations: []string{"apache-elasticjob"}, Note: "from ElasticJob 3.0"},
	{Name: "elasticsearch", Instrumentations: []string{"elasticsearch-rest", "elasticsearch-transport"}},
	{Name: "elasticsearch-java", Instrumentations: []string{"elasticsearch-rest"}},
	{Name: "fastjson"},
	{Name: "feign-default-http", Instrumentations: []string{"http-url-connection"}, Broad: true, Note: "Feign sends through HttpURLConnection"},
	{Name: "feign-pathvar", Note: "the HTTP client below makes the span"},
	{Name: "finagle", Instrumentations: []string{"finagle-http"}},
	{Name: "graphql", Instrumentations: []string{"graphql-java"}},
	{Name: "grizzly", Instrumentations: []string{"grizzly"}},
	{Name: "grizzly-threadpool", Note: "metrics of a pool"},
	{Name: "grpc", Instrumentations: []string{"grpc"}},
	{Name: "gson"},
	{Name: "guava-cache"},
	{Name: "guava-eventbus"},
	{Name: "h2", Instrumentations: []string{"jdbc"}, Broad: true, Note: "jdbc covers every driver"},
	{Name: "hbase"},
	{Name: "hikaricp", Instrumentations: []string{"hikaricp"}},
	{Name: "httpasyncclient", Instrumentations: []string{"apache-httpasyncclient"}},
	{Name: "httpclient", Instrumentations: []string{"apache-httpclient"}},
	{Name: "hutool-http"},
	{Name: "hystrix", Instrumentations: []string{"hystrix"}},
	{Name: "impala-jdbc", Instrumentations: []string{"jdbc"}, Broad: true, Note: "jdbc covers every driver"},
	{Name: "influxdb", Instrumentations: []string{"influxdb"}},
	{Name: "jackson"},
	{Name: "jdk-forkjoinpool-plugin", Instrumentations: []string{"executors"}, Broad: true, Note: "context propagation through every executor"},
	{Name: "jdk-http-plugin", Instrumentations: []string{"http-url-connection"}},
	{Name: "jdk-httpclient-plugin", Instrumentations: []string{"java-http-client"}},
	{Name: "jdk-threading-plugin", Instrumentations: []string{"executors"}, Broad: true, Note: "context propagation through every executor"},
	{Name: "jdk-threadpool-plugin", Instrumentations: []string{"executors"}, Broad: true, Note: "context propagation through every executor"},
	{Name: "jdk-virtual-thread-executor-plugin", Instrumentations: []string{"executors"}, Broad: true, Note: "context propagation through every executor"},
	{Name: "jedis", Instrumentations: []string{"jedis"}},
	{Name: "jersey", Instrumentations: []string{"jersey"}},
	{Name: "jetty-client", Instrumentations: []string{"jetty-httpclient"}},
	{Name: "jetty-server", Instrumentations: []string{"jetty"}},
	{Name: "jetty-thread-pool", Note: "metrics of a pool"},
	{Name: "jsonrpc4j"},
	{Name: "kafka", Instrumentations: []string{"kafka-clients"}, Note: "kafka is the broader name: streams and connect too"},
	{Name: "kotlin-coroutine", Instrumentations: []string{"kotlinx-coroutines"}},
	{Name: "kylin-jdbc", Instrumentations: []string{"jdbc"}, Broad: true, Note: "jdbc covers every driver"},
	{Name: "lettuce", Instrumentations: []string{"lettuce"}},
	{Name: "light4j"},
	{Name: "mariadb", Instrumentations: []string{"jdbc"}, Broad: true, Note: "jdbc covers every driver"},
	{Name: "memcache"},
	{Name: "micrometer", Instrumentations: []string{"micrometer"}},
	{Name: "micronaut-http-client"},
	{Name: "micronaut-http-server"},
	{Name: "mongodb", Instrumentations: []string{"mongo"}, Note: "from driver 3.1"},
	{Name: "motan"},
	{Name: "mssql-jdbc", Instrumentations: []string{"jdbc"}, Broad: true, Note: "jdbc covers every driver"},
	{Name: "mssql-jtds", Instrumentations: []string{"jdbc"}, Broad: true, Note: "jdbc covers every driver"},
	{Name: "mybatis", Instrumentations: []string{"mybatis"}},
	{Name: "mysql", Instrumentations: []string{"jdbc"}, Broad: true, Note: "jdbc covers every driver"},
	{Name: "nacos-client"},
	{Name: "nats-client", Instrumentations: []string{"nats"}},
	{Name: "neo4j"},
	{Name: "netty-http", Instrumentations: []string{"netty"}, Broad: true, Note: "other clients and servers build on netty"},
	{Name: "netty-socketio"},
	{Name: "nutz-http"},
	{Name: "nutz-mvc-annotation"},
	{Name: "okhttp", Instrumentations: []string{"okhttp"}},
	{Name: "play", Instrumentations: []string{"play"}},
	{Name: "postgresql", Instrumentations: []string{"jdbc"}, Broad: true, Note: "jdbc covers every driver"},
	{Name: "pulsar", Instrumentations: []string{"pulsar"}},
	{Name: "quartz-scheduler", Instrumentations: []string{"quartz"}},
	{Name: "quasar"},
	{Name: "rabbitmq", Instrumentations: []string{"rabbitmq"}},
	{Name: "redisson", Instrumentations: []string{"redisson"}},
	{Name: "resteasy-server", Instrumentations: []string{"jaxrs"}, Broad: true, Note: "jaxrs covers every JAX-RS server"},
	{Name: "rocketMQ", Instrumentations: []string{"rocketmq-client"}, Note: "from RocketMQ 4.8"},
	{Name: "rocketMQ-client-java", Instrumentations: []string{"rocketmq-client"}},
	{Name: "sentinel"},
	{Name: "servicecomb"},
	{Name: "sharding-sphere", Note: "its JDBC calls are seen by jdbc"},
	{Name: "shenyu", Instrumentations: []string{"apache-shenyu"}},
	{Name: "sofarpc"},
	{Name: "solon"},
	{Name: "solrj"},
	{Name: "spring-ai"},
	{Name: "spring-annotation"},
	{Name: "spring-async-annotation", Instrumentations: []string{"spring-core"}, Broad: true, Note: "@Async passes context through spring-core and executors"},
	{Name: "spring-cloud-feign", Note: "the HTTP client below makes the span"},
	{Name: "spring-cloud-gateway", Instrumentations: []string{"spring-cloud-gateway"}},
	{Name: "spring-concurrent-util"},
	{Name: "spring-core-patch"},
	{Name: "spring-kafka", Instrumentations: []string{"spring-kafka"}},
	{Name: "spring-ldap"},
	{Name: "spring-mvc-annotation", Instrumentations: []string{"spring-webmvc"}},
	{Name: "spring-rabbitmq", Instrumentations: []string{"spring-rabbit"}},
	{Name: "spring-resttemplate", Instrumentations: []string{"spring-web"}, Note: "the HTTP client below makes the span"},
	{Name: "spring-scheduled-annotation", Instrumentations: []string{"spring-scheduling"}},
	{Name: "spring-tx", Note: "no span for a transaction"},
	{Name: "spring-webflux", Instrumentations: []string{"spring-webflux"}},
	{Name: "spymemcached", Instrumentations: []string{"spymemcached"}},
	{Name: "struts2", Instrumentations: []string{"struts"}},
	{Name: "thrift"},
	{Name: "tomcat", Instrumentations: []string{"tomcat"}},
	{Name: "tomcat-thread-pool", Note: "metrics of a pool"},
	{Name: "toolkit-kafka"},
	{Name: "toolkit-log4j"},
	{Name: "toolkit-log4j2"},
	{Name: "toolkit-logback"},
	{Name: "toolkit-opentracing"},
	{Name: "toolkit-trace", Instrumentations: []string{"external-annotations"}, Note: "annotations only, see the toolkit"},
	{Name: "toolkit-webflux"},
	{Name: "undertow", Instrumentations: []string{"undertow"}},
	{Name: "undertow-worker-thread-pool", Note: "metrics of a pool"},
	{Name: "vertx-core", Instrumentations: []string{"vertx-web", "vertx-http-client"}},
	{Name: "websphere-liberty", Instrumentations: []string{"liberty"}},
	{Name: "xxl-job", Instrumentations: []string{"xxl-job"}},
	{Name: "zookeeper"},
}
