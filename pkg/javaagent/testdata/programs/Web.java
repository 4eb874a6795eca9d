import java.net.*;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.springframework.context.annotation.Configuration;
import org.springframework.stereotype.Controller;
import org.springframework.web.bind.annotation.*;
import org.springframework.web.context.support.AnnotationConfigWebApplicationContext;
import org.springframework.web.servlet.DispatcherServlet;
import org.springframework.web.servlet.config.annotation.EnableWebMvc;

/** Spring MVC in Tomcat, and one request with a parameter. */
public class Web {
    @Configuration
    @EnableWebMvc
    static class Settings {}

    @Controller
    static class Orders {
        @GetMapping("/orders/{id}")
        @ResponseBody
        public String order(@PathVariable("id") String id, @RequestParam("coupon") String coupon) {
            return id + coupon;
        }
    }

    public static void main(String[] args) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(java.nio.file.Files.createTempDirectory("tomcat").toString());
        tomcat.setPort(0);
        Context context = tomcat.addContext("", null);
        AnnotationConfigWebApplicationContext application = new AnnotationConfigWebApplicationContext();
        application.register(Settings.class, Orders.class);
        Tomcat.addServlet(context, "mvc", new DispatcherServlet(application)).setLoadOnStartup(1);
        context.addServletMappingDecoded("/", "mvc");
        tomcat.getConnector();
        tomcat.start();
        HttpURLConnection c = (HttpURLConnection) new URL("http://127.0.0.1:" + tomcat.getConnector().getLocalPort() + "/orders/7?coupon=a-coupon").openConnection();
        if (c.getResponseCode() != 200) {
            throw new IllegalStateException("status " + c.getResponseCode());
        }
        tomcat.stop();
        tomcat.destroy();
    }
}
