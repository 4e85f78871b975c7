package eventmesh.peers;

import java.io.Serializable;
import java.util.Date;

/** An argument with fields of its own, itself among them. */
public final class Person implements Serializable {
    private static final long serialVersionUID = 1L;
    public String name = "Ada é \uD83D\uDE00";
    public long number = 1L << 40;
    public double half = 0.5;
    public Date born = new Date(0);
    public Person self = this;
}
