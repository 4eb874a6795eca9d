package javaagent

//nolint:gochecknoglobals // lookup table
var pluginTable = []Plugin{
	{Name: "tomcat", Instrumentations: []string{"tomcat"}},
	{Name: "jedis", Instrumentations: []string{"jedis"}},
	{Name: "dubbo", Instrumentations: []string{"apache-dubbo"}},
	{Name: "rocketMQ", Instrumentations: []string{"rocketmq-client"}},
	{Name: "spring-mvc-annotation", Instrumentations: []string{"spring-webmvc"}},
	{Name: "kafka", Instrumentations: []string{"kafka-clients"}},
}
