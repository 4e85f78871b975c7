package eventmesh.peers;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.RpcException;

/**
 * A Dubbo consumer driven by lines on stdin, each answered by one line on stdout: "greet TEXT", "describe", "many COUNT",
 * "traced NAME=VALUE..." (attachments of one greeting, which answers with those it came with).
 * Arguments: HOST:PORT GROUP TIMEOUT_MS.
 */
public final class DubboCaller {
    private DubboCaller() {}

    static ApplicationConfig application(String name) {
        ApplicationConfig application = new ApplicationConfig(name);
        application.setQosEnable(false);
        return application;
    }

    public static void main(String[] args) throws Exception {
        ReferenceConfig<Greeter> reference = new ReferenceConfig<>();
        reference.setInterface(Greeter.class);
        reference.setGroup(args[1]);
        reference.setVersion("1.0");
        reference.setUrl("dubbo://" + args[0] + "/" + Greeter.class.getName() + "?serialization=hessian2");
        reference.setTimeout(Integer.parseInt(args[2]));
        reference.setRetries(0);
        reference.setCheck(false);
        DubboBootstrap.getInstance().application(application("consumer")).reference(reference).start();
        Greeter greeter = reference.get();
        System.out.println("READY");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(answer(greeter, line));
            System.out.flush();
        }
        System.exit(0);
    }

    private static String answer(Greeter greeter, String line) {
        try {
            String[] words = line.split(" ", 2);
            switch (words[0]) {
                case "greet":
                    return "OK " + greeter.greet(words[1]);
                case "traced":
                    for (String pair : words[1].split(" ")) {
                        RpcContext.getClientAttachment().setAttachment(pair.split("=", 2)[0], pair.split("=", 2)[1]);
                    }
                    return "OK " + greeter.greet("trace");
                case "describe":
                    return "OK " + greeter.describe(Map.of("a", List.of(1, 300)), new byte[70_000], new Person());
                case "many":
                    return many(greeter, Integer.parseInt(words[1]));
                default:
                    return "ERROR unknown command " + words[0];
            }
        } catch (RpcException e) {
            return "ERROR code " + e.getCode() + " " + String.valueOf(e.getMessage()).replace("\n", " ");
        } catch (IllegalStateException e) {
            return "THROWN " + e.getMessage().lines().findFirst().orElse("");
        } catch (RuntimeException e) {
            return "ERROR " + e;
        }
    }

    /** Sixteen at once on one connection. */
    private static String many(Greeter greeter, int count) {
        List<CompletableFuture<Integer>> parts = IntStream.range(0, 16)
                .mapToObj(part -> CompletableFuture.supplyAsync(() -> {
                    int right = 0;
                    for (int i = part; i < count; i += 16) {
                        right += greeter.greet("n" + i).startsWith("hello n" + i + " from ") ? 1 : 0;
                    }
                    return right;
                }, command -> new Thread(command).start()))
                .collect(Collectors.toList());
        return "OK " + parts.stream().mapToInt(CompletableFuture::join).sum() + "/" + count;
    }
}
